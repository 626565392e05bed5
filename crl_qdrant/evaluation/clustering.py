"""Clustering by criterion: k-means on a representation, compared with the criterion's classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.errors import InputError
from crl_qdrant.evaluation.extra import evaluation_packages
from crl_qdrant.evaluation.metrics import Agreement, clustering_agreement
from crl_qdrant.evaluation.scores import Score

__all__ = ["Clustering", "cluster"]


@dataclass(frozen=True, slots=True)
class Clustering:
    """Result of k-means.

    Attributes:
        agreements: with the classes, one for each seed.
        clusters: int32 [N], of the first seed.
    """

    agreements: tuple[Agreement, ...]
    clusters: npt.NDArray[np.int32]

    @property
    def scores(self) -> dict[str, Score]:
        """NMI, ACC and ARI over the seeds."""
        return {
            name.upper(): Score(tuple(getattr(each, name) for each in self.agreements)) for name in Agreement._fields
        }


def cluster(
    representations: Float32Array,
    labels: Sequence[str],
    *,
    seeds: Iterable[int] = range(20),
    advance: Callable[[int], object] = lambda items: None,
) -> Clustering:
    """k-means with as many clusters as there are classes, n_init="auto", once for each seed; all items, no split.

    The protocol of the paper's code (arXiv 2510.04564, section 4.1); in its tables every figure is the mean of 20.

    Args:
        representations: float [N, r], unit rows.
        labels: N classes.
        seeds: `random_state` of each run.
        advance: called with 1 after each run.

    Raises:
        InputError: if rows and labels differ in number, or there is no seed.
        MissingPackageError: if scikit-learn is not installed.
    """
    with evaluation_packages():
        from sklearn.cluster import KMeans
    if len(labels) != len(representations):
        raise InputError(f"every row needs one label, got {len(representations)} rows and {len(labels)} labels")
    found = []
    for seed in seeds:
        means = KMeans(n_clusters=len(set(labels)), n_init="auto", random_state=seed)
        found.append(means.fit_predict(representations))
        advance(1)
    if not found:
        raise InputError("clustering needs at least one seed, got none")
    return Clustering(tuple(clustering_agreement(labels, each) for each in found), found[0])
