"""The named vectors of a collection's criteria: their names, and their values for the points that lack them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.manifest import CriterionState, Manifest, StoredCriterion
from crl_qdrant.criteria.smoothing import smoothing_for, stored_rows
from crl_qdrant.errors import StoreError
from crl_qdrant.projection.projector import Projector
from crl_qdrant.stores import Store

__all__ = ["fill_vectors", "free_vector", "lacking", "next_vector"]

_PASSES: Final = 3

_Represent = Callable[[Sequence[PointId], Float32Array], Mapping[str, Float32Array]]


def next_vector(name: str, manifest: Manifest) -> str:
    """The named vector of a criterion's next version: the current one's, where that was never made."""
    lineage = manifest.lineages.get(name)
    if lineage is not None and lineage.current.state is CriterionState.DEFINED and not lineage.retired:
        return lineage.current.vector
    used = [] if lineage is None else [*lineage.retired, *(version.vector for version in lineage.versions)]
    return free_vector(name, manifest.vectors_in_use(), used)


def free_vector(name: str, taken: Collection[str], used: Sequence[str] = ()) -> str:
    """A named vector for a new version: `crl_<name>` for the first, then with a number that only rises.

    A name that came back would let a search that read the manifest some seconds ago meet another version's vectors.

    Args:
        name: the criterion's.
        taken: all names that are in use.
        used: those that the criterion has.
    """
    number = 1 + max((int(vector.partition("~")[2] or 1) for vector in used), default=0)
    while (vector := f"crl_{name}" + (f"~{number}" if number > 1 else "")) in taken:
        number += 1
    return vector


def lacking(*vectors: str, having: str | None = None) -> models.Filter:
    """Points that lack any of these named vectors, of those that have another."""
    present = None if having is None else models.HasVectorCondition(has_vector=having)
    lacks: list[Any] = [models.Filter(must_not=models.HasVectorCondition(has_vector=each)) for each in vectors]
    return models.Filter(must=present, should=lacks)


def fill_vectors(
    store: Store,
    raw_vector: str,
    versions: Sequence[StoredCriterion],
    projector: Projector,
    *,
    batch_size: int,
    advance: Advance,
) -> int:
    """Write criteria's named vectors for the points that have raw vectors and lack any; returns how many points.

    All criteria in one pass: to read an embedding out of the store takes longer than to write a criterion's vector.
    Where other processes can write, further passes take the points that these wrote without the vectors. Smoothed
    criteria that are built for the first time read all embeddings before.
    """
    written = 0
    for _ in range(_PASSES if store.shared else 1):
        left = [each for each in versions if store.count(lacking(each.vector, having=raw_vector))]
        if not left:
            break
        wanted = lacking(*(each.vector for each in left), having=raw_vector)
        total = store.count(wanted)
        represent = _representing(store, raw_vector, left, projector, batch_size)
        for ids, embeddings in store.scroll(vector=raw_vector, query_filter=wanted, batch_size=batch_size):
            written += _write_vectors(store, raw_vector, ids, embeddings, represent)
            advance(len(ids), total)
    return written


def _representing(
    store: Store, raw_vector: str, versions: Sequence[StoredCriterion], projector: Projector, batch_size: int
) -> _Represent:
    smoothing = smoothing_for(store, raw_vector, versions, projector, batch_size=batch_size)

    def represent(ids: Sequence[PointId], embeddings: Float32Array) -> dict[str, Float32Array]:
        return {
            each.vector: smoothing[each.vector](ids, projector.project(each.projection, embeddings))
            if each.vector in smoothing
            else stored_rows(store, each, projector, ids, embeddings)
            for each in versions
        }

    return represent


def _write_vectors(
    store: Store,
    raw_vector: str,
    ids: Sequence[PointId],
    embeddings: Float32Array,
    represent: _Represent,
) -> int:
    """Write the vectors of these points, and again for those whose image another process replaced meanwhile.

    Deleted points are left out. Returns how many points were written.
    """
    written: set[PointId] = set()
    while len(ids):
        try:
            store.update_vectors(ids, represent(ids, embeddings))
        except StoreError:
            there, now = _read(store, raw_vector, ids)
            if len(there) == len(ids):
                raise
            ids, embeddings = there, now  # some were deleted since they were read
            continue
        written.update(ids)
        if not store.shared:
            break
        before = dict(zip(ids, embeddings, strict=True))
        there, now = _read(store, raw_vector, ids)
        changed = [at for at, each in enumerate(there) if not np.array_equal(before[each], now[at])]
        ids, embeddings = [there[at] for at in changed], now[changed]
    return len(written)


def _read(store: Store, raw_vector: str, ids: Sequence[PointId]) -> tuple[list[PointId], Float32Array]:
    """The points that are still there and have an embedding, with it, [n, d]."""
    records = [each for each in store.retrieve(ids, vector=raw_vector, with_payload=False) if each.vector is not None]
    return [each.id for each in records], np.array([each.vector for each in records], dtype=np.float32)
