"""What is done with a collection beside searching it: grouping it, tagging it from examples, training heads."""

from __future__ import annotations

from crl_qdrant.tasks.clustering import Cluster, cluster, Clustering
from crl_qdrant.tasks.few_shot import few_shot, FewShot
from crl_qdrant.tasks.fields import checked_field, write_field
from crl_qdrant.tasks.heads import HeadReport, train_head
from crl_qdrant.tasks.labels import Label, labelled_points, Labels

__all__ = [
    "Cluster",
    "Clustering",
    "FewShot",
    "HeadReport",
    "Label",
    "Labels",
    "checked_field",
    "cluster",
    "few_shot",
    "labelled_points",
    "train_head",
    "write_field",
]
