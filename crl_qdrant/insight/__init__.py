"""What a criterion does on a collection: looked into, written to the payload as tags, measured with a shop's labels."""

from __future__ import annotations

from crl_qdrant.insight.ablation import ablate, Ablation, Variant
from crl_qdrant.insight.inspection import inspect, Inspection, WordUse
from crl_qdrant.insight.tagging import tag

__all__ = ["Ablation", "Inspection", "Variant", "WordUse", "ablate", "inspect", "tag"]
