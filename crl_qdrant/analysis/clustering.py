"""A collection grouped by a criterion: k-means on its representations, groups named by the criterion's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arguments import LARGEST_SEED, whole_number
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.extras import needed
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.space import Space
from crl_qdrant.errors import InputError

__all__ = ["Cluster", "Clustering", "cluster"]

_MOST_SUGGESTED: Final = 20
_MINI_BATCHES_FROM: Final = 50_000
_RESTARTS: Final = 3
_WORDS_OF_A_NAME: Final = 3
_EXAMPLES: Final = 8
_DECIMALS: Final = 4  # items that agree in so many are one to k-means


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group of similar items.

    Attributes:
        name: up to three of the criterion's words, those that the group exceeds all items in most; "" for a group by
            the raw embeddings, which have no words.
        words: every word in which it exceeds all items, with the difference, largest first.
        size: number of items.
        examples: the items nearest to its centre, at most eight, nearest first.
    """

    name: str
    words: tuple[tuple[str, float], ...]
    size: int
    examples: tuple[PointId, ...]


@dataclass(frozen=True, slots=True)
class Clustering:
    """A collection's items in groups.

    Attributes:
        criterion: by which; None for the raw embeddings.
        ids: N items.
        labels: int64 [N], the position of each one's group in `clusters`.
        clusters: the groups, largest first.
        silhouette: separation of the groups, from -1 to 1, on a sample; NaN if it is undefined.
        suggested: the silhouette by number of groups, if the number was to be found.
    """

    criterion: str | None
    ids: list[PointId]
    labels: npt.NDArray[np.int64]
    clusters: tuple[Cluster, ...]
    silhouette: float
    suggested: dict[int, float] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The groups' names."""
        return [each.name for each in self.clusters]

    @property
    def sizes(self) -> list[int]:
        """The number of items in each group."""
        return [each.size for each in self.clusters]

    def values(self) -> list[str | int]:
        """Values for a payload field: each item's group by name, or by number if it has no name."""
        return [self.clusters[each].name or each for each in self.labels.tolist()]


def cluster(
    space: Space, ids: Sequence[PointId], embeddings: Float32Array, k: int | None, *, seed: int, sample: int
) -> Clustering:
    """Group items by k-means, see `CRLCollection.cluster`.

    Args:
        space: where items are compared.
        ids: N items.
        embeddings: theirs, [N, d], unit rows.
        k: number of groups; None: the number from 2 to 20 with the largest silhouette.
        seed: of k-means and of the sample.
        sample: number of items to measure the silhouette on.

    Raises:
        InputError: if k, seed or sample is out of range, or there are fewer different items than groups.
        MissingPackageError: if scikit-learn is not installed.
    """
    seed, sample = whole_number("seed", seed, least=0, most=LARGEST_SEED), whole_number("sample", sample, least=10)
    least = 3 if k is None else whole_number("k", k, least=2)
    rows = space.represent(embeddings) if len(ids) else embeddings
    different = _different(rows, most=max(least, _MOST_SUGGESTED + 1))
    if different < least:
        raise InputError(f"grouping needs at least {least} different items, and there are {different}")
    rng = np.random.default_rng(seed)
    some = rows if len(rows) <= sample else rows[np.sort(rng.choice(len(rows), size=sample, replace=False))]
    suggested: dict[int, float] = {}
    if k is None:
        for number in range(2, min(_MOST_SUGGESTED, different - 1, len(some) - 1) + 1):
            suggested[number] = _silhouette(some, _fitted(some, number, seed), seed=seed, sample=sample)
        k = max(suggested, key=lambda number: suggested[number])
    labels = _largest_first(_fitted(rows, k, seed))
    words = _words(space, embeddings, rows, labels)
    names = _distinct([", ".join(word for word, _ in each[:_WORDS_OF_A_NAME]) for each in words])
    clusters = []
    for number, (name, each) in enumerate(zip(names, words, strict=True)):
        members = np.flatnonzero(labels == number)
        distance = np.linalg.norm(rows[members] - rows[members].mean(axis=0), axis=1)
        nearest = members[np.argsort(distance, kind="stable")[:_EXAMPLES]]
        clusters.append(Cluster(name, each, len(members), tuple(ids[at] for at in nearest)))
    criterion = None if space.projection is None else space.name
    measured = _silhouette(rows, labels, seed=seed, sample=sample)
    return Clustering(criterion, list(ids), labels, tuple(clusters), measured, suggested)


def _different(rows: Float32Array, *, most: int) -> int:
    """Number of different rows, counted up to `most`."""
    seen: set[bytes] = set()
    for row in rows:
        seen.add((np.round(row, _DECIMALS) + 0.0).tobytes())  # + 0.0: no negative zeros
        if len(seen) == most:
            break
    return len(seen)


def _fitted(rows: Float32Array, k: int, seed: int) -> npt.NDArray[Any]:
    with needed("scikit-learn", "tasks"):
        from sklearn.cluster import KMeans, MiniBatchKMeans
    if len(rows) < _MINI_BATCHES_FROM:
        means: Any = KMeans(n_clusters=k, n_init=_RESTARTS, random_state=seed)
    else:
        means = MiniBatchKMeans(n_clusters=k, n_init=_RESTARTS, random_state=seed, batch_size=4096)
    return np.asarray(means.fit_predict(rows))


def _silhouette(rows: Float32Array, labels: npt.NDArray[Any], *, seed: int, sample: int) -> float:
    with needed("scikit-learn", "tasks"):
        from sklearn.metrics import silhouette_score
    chosen = np.random.default_rng(seed).permutation(len(rows))[:sample]
    if not 2 <= len(np.unique(labels[chosen])) < len(chosen):
        return float("nan")
    return float(silhouette_score(rows[chosen], labels[chosen]))


def _largest_first(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The same groups numbered by size, 0 the largest; of equal ones the first to come."""
    found, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -counts))
    rank = np.empty(len(found), dtype=np.int64)
    rank[order] = np.arange(len(found))
    return rank[inverse]


def _words(
    space: Space, embeddings: Float32Array, rows: Float32Array, labels: npt.NDArray[np.int64]
) -> list[tuple[tuple[str, float], ...]]:
    """For each group the words in which its mean exceeds that of all items, most first; none in the raw space."""
    groups = range(int(labels.max()) + 1)
    if space.projection is None:
        return [() for _ in groups]
    projection, words = space.projection, space.words
    # the output of a head has no words; its input has
    by = rows if projection.head is None else projection.conditional(embeddings)
    means = np.stack([by[labels == number].mean(axis=0, dtype=np.float64) for number in groups])
    more = projection.by_words(means - by.mean(axis=0, dtype=np.float64)).sum(axis=1)  # [groups, K]: it is linear
    named = []
    for row in more:
        order = [at for at in np.argsort(-row, kind="stable") if row[at] > 0]
        named.append(tuple((words[at], float(row[at])) for at in order))
    return named


def _distinct(names: list[str]) -> list[str]:
    """The names, with a number added to those that occur again."""
    seen: Counter[str] = Counter()
    told = []
    for name in names:
        seen[name] += 1
        told.append(f"{name} ({seen[name]})" if name and seen[name] > 1 else name)
    return told
