"""Measures of retrieval and clustering, as pure functions of scores, representations and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crl_qdrant.errors import InputError
from crl_qdrant.evaluation.extra import evaluation_packages
from crl_qdrant.projection.on_device import cosine_similarity

__all__ = [
    "Agreement",
    "average_precisions",
    "clustering_agreement",
    "contingency",
    "mean_average_precision",
    "recall_at",
    "target_rank",
    "weighted_mean",
]

_QUERIES_AT_ONCE = 256


class Agreement(NamedTuple):
    """How well clusters agree with classes: NMI and ACC in [0, 1], ARI at most 1 and about 0 by chance."""

    nmi: float
    acc: float
    ari: float


def average_precisions(scores: Tensor, relevant: Tensor) -> Tensor:
    """Average precision of every query: the mean, over its relevant items, of the precision at their ranks.

    Args:
        scores: float [Q, N], larger is nearer; equal scores keep the order they came in.
        relevant: bool [Q, N].

    Returns:
        float64 [Q] in [0, 1]; NaN for a query without a relevant item.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    found = relevant.gather(1, order).double()
    at_rank = found.cumsum(dim=1) / torch.arange(1, scores.shape[1] + 1, device=scores.device)
    return (at_rank * found).sum(dim=1) / found.sum(dim=1)


def mean_average_precision(representations: Tensor, labels: Sequence[object]) -> float:
    """Leave-one-out mAP: every item in turn is the query, all others are ranked by cosine.

    An item is relevant where it has the query's label; queries without any relevant item do not count.

    Args:
        representations: [N, r], unit rows, any device.
        labels: N hashable values.

    Returns:
        A number in [0, 1]; NaN where no label stands twice.
    """
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    codes = torch.tensor([numbers[label] for label in labels], device=representations.device)
    precisions = []
    for start in range(0, len(labels), _QUERIES_AT_ONCE):
        queries = torch.arange(start, min(start + _QUERIES_AT_ONCE, len(labels)), device=representations.device)
        scores = cosine_similarity(representations[queries], representations)
        relevant = codes == codes[queries, None]
        itself = torch.arange(len(queries)), queries
        scores[itself] = -torch.inf  # the query comes last, and is not relevant to itself
        relevant[itself] = False
        precisions.append(average_precisions(scores, relevant))
    return float(torch.cat(precisions).nanmean())


def contingency(labels: Sequence[Any], clusters: Sequence[Any]) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """The classes in sorted order, and int64 [classes, clusters]: how many of each class are in each cluster.

    Raises:
        InputError: not one cluster for each label, or none at all.
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
        clusters: N clusters; their names mean nothing.

    Raises:
        InputError: not one cluster for each label.
        MissingPackageError: scikit-learn is not installed.
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
    """How many other candidates come before the target: 0 is first. Ties, and NaN, count against the target.

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
