"""Stored vectors of a smoothed criterion: where a point's neighbours come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.manifest import CriterionState, StoredCriterion
from crl_qdrant.projection.projector import Projector
from crl_qdrant.projection.smoothing import smooth_among, smooth_with
from crl_qdrant.stores import Store, VectorQuery

__all__ = ["Smooth", "smoothing_for", "stored_rows"]

Smooth = Callable[[Sequence[PointId], Float32Array], Float32Array]
"""Averages the representations [n, r] of n points with those of their neighbours."""

_AT_ONCE: Final = 256


def stored_rows(
    store: Store, version: StoredCriterion, projector: Projector, ids: Sequence[PointId], embeddings: Float32Array
) -> Float32Array:
    """The named vectors [n, r] of points with these embeddings [n, d], written beside the stored ones.

    Neighbours of a smoothed criterion are the engine's among the vectors that are stored, which are smoothed
    themselves. The first points of an empty collection have none.
    """
    rows = projector.project(version.projection, embeddings)
    return _smooth_among_stored(store, version, ids, rows) if version.criterion.options.smooth else rows


def smoothing_for(
    store: Store, raw_vector: str, versions: Sequence[StoredCriterion], projector: Projector, *, batch_size: int
) -> Mapping[str, Smooth]:
    """Read all embeddings once, for the smoothed criteria that are not complete yet; by named vector.

    Their neighbours are found exactly, among unsmoothed representations. So the order in which vectors are written,
    and a kill between, change nothing. Holds N·r floats for each such criterion.
    """
    wanted = [v for v in versions if v.criterion.options.smooth and v.state is not CriterionState.MATERIALIZED]
    if not wanted:
        return {}
    ids: list[PointId] = []
    pages: dict[str, list[Float32Array]] = {version.vector: [] for version in wanted}
    for page, embeddings in store.scroll(vector=raw_vector, batch_size=batch_size):
        ids += page
        for version in wanted:
            pages[version.vector].append(projector.project(version.projection, embeddings))
    if not ids:
        return {}
    place = {point: at for at, point in enumerate(ids)}
    return {
        v.vector: _among_all(place, np.concatenate(pages.pop(v.vector)), v.criterion.options.smooth) for v in wanted
    }


def _among_all(place: Mapping[PointId, int], every: Float32Array, k: int) -> Smooth:
    def smooth(ids: Sequence[PointId], rows: Float32Array) -> Float32Array:
        own = np.array([place.get(point, -1) for point in ids], dtype=np.int64)
        return smooth_among(rows, every, own, k)

    return smooth


def _smooth_among_stored(
    store: Store, version: StoredCriterion, ids: Sequence[PointId], rows: Float32Array
) -> Float32Array:
    smoothed = rows.copy()
    usable = np.flatnonzero(rows.any(axis=1))  # a row of zeros has no nearest point
    for start in range(0, len(usable), _AT_ONCE):
        chosen = usable[start : start + _AT_ONCE]
        neighbours = _stored_neighbours(store, version, [ids[at] for at in chosen], rows[chosen])
        smoothed[chosen] = smooth_with(rows[chosen], neighbours)
    return smoothed


def _stored_neighbours(
    store: Store, version: StoredCriterion, ids: Sequence[PointId], rows: Float32Array
) -> Float32Array:
    """The stored vectors [n, k, r] of the points nearest to each row, without the row's own point; zeros for none."""
    k, vector = version.criterion.options.smooth, version.vector
    answers = store.query_batch([VectorQuery(row, vector, limit=k + 1) for row in rows])
    nearest = [[each.id for each in found if each.id != point][:k] for point, found in zip(ids, answers, strict=True)]
    wanted = list(dict.fromkeys(point for found in nearest for point in found))
    records = store.retrieve(wanted, vector=vector, with_payload=False) if wanted else []
    known = {each.id: np.array(each.vector, dtype=np.float32) for each in records if each.vector is not None}
    neighbours = np.zeros((len(rows), k, rows.shape[1]), dtype=np.float32)
    for at, found in enumerate(nearest):
        for number, point in enumerate(found):
            if point in known:  # else another process removed it
                neighbours[at, number] = known[point]
    return neighbours
