"""Measures of clustering and of retrieval in galleries; mean average precision is in `analysis.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crl_qdrant.errors import InputError
from crl_qdrant.evaluation.extra import evaluation_packages

__all__ = [
    "Agreement",
    "clustering_agreement",
    "contingency",
    "recall_at",
    "target_rank",
    "weighted_mean",
]


class Agreement(NamedTuple):
    """Agreement of clusters with classes: NMI and ACC in [0, 1], ARI at most 1 and about 0 by chance."""

    nmi: float
    acc: float
    ari: float


def contingency(labels: Sequence[Any], clusters: Sequence[Any]) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """The classes in sorted order, and int64 [classes, clusters]: how many of each class are in each cluster.

    Raises:
        InputError: if labels and clusters differ in number, or there are none.
    """
    if len(labels) != len(clusters) or not len(labels):
        raise InputError(f"every label needs one cluster, got {len(labels)} labels and {len(clusters)} clusters")
    classes, rows = np.unique(np.asarray(labels), return_inverse=True)
    groups, columns = np.unique(np.asarray(clusters), return_inverse=True)
    counts = np.zeros((len(classes), len(groups)), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return classes.tolist(), counts


def clustering_agreement(labels: Sequence[Any], clusters: Sequence[Any]) -> Agreement:
    """NMI, ACC and ARI of clusters with classes, as in the paper's tables (arXiv 2510.04564, section 4.1).

    ACC is the share of items in the right cluster under the one-to-one match of clusters to classes that makes it
    largest (the Hungarian method). NMI is normalised by the arithmetic mean of the two entropies.

    Args:
        labels: N classes.
        clusters: N clusters, with any names.

    Raises:
        InputError: if labels and clusters differ in number.
        MissingPackageError: if scikit-learn is not installed.
    """
    with evaluation_packages():
        from scipy.optimize import linear_sum_assignment
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    _, counts = contingency(labels, clusters)
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return Agreement(
        nmi=float(normalized_mutual_info_score(labels, clusters)),
        acc=float(matched / len(labels)),
        ari=float(adjusted_rand_score(labels, clusters)),
    )


def target_rank(scores: npt.NDArray[Any], target: int) -> int:
    """The target's rank, 0 for the first. Ties, and NaN, count against the target.

    Args:
        scores: float [N], larger is nearer.
        target: the target's position.
    """
    return int((~(scores < scores[target])).sum()) - 1


def recall_at(ranks: Sequence[int], k: int) -> float:
    """R@k: the share of targets among the first k, from their ranks (0 is first)."""
    return float(np.mean(np.asarray(ranks) < k))


def weighted_mean(values: Sequence[float], counts: Sequence[int]) -> float:
    """The mean of group means, each weighted by its number of queries: the mean over all queries."""
    return float(np.average(values, weights=counts))
