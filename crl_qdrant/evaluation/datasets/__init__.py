"""The paper's data sets: one loader each, which says what to download and where to, and checks what is there."""

from __future__ import annotations

from crl_qdrant.evaluation.datasets.cards import load_cards
from crl_qdrant.evaluation.datasets.clevr4 import load_clevr4
from crl_qdrant.evaluation.datasets.deepfashion import AttributeRetrieval, Entries, load_deepfashion
from crl_qdrant.evaluation.datasets.genecis import GalleryRetrieval, load_genecis
from crl_qdrant.evaluation.datasets.labelled import LabelledImages

__all__ = [
    "AttributeRetrieval",
    "Entries",
    "GalleryRetrieval",
    "LabelledImages",
    "load_cards",
    "load_clevr4",
    "load_deepfashion",
    "load_genecis",
]
