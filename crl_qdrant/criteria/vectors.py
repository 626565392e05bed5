"""The named vectors of a collection's criteria: how they are called, and how points get them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from qdrant_client import models

from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.manifest import CriterionState, Manifest, StoredCriterion
from crl_qdrant.projection.projector import Projector
from crl_qdrant.stores import Store

__all__ = ["fill_vectors", "free_vector", "lacking", "next_vector"]


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

    All in one pass: to read an embedding out of the store takes longer than to write a criterion's vector.
    """
    left = [each for each in versions if store.count(lacking(each.vector, having=raw_vector))]
    if not left:
        return 0
    wanted = lacking(*(each.vector for each in left), having=raw_vector)
    total, written = store.count(wanted), 0
    for ids, embeddings in store.scroll(vector=raw_vector, query_filter=wanted, batch_size=batch_size):
        store.update_vectors(ids, {each.vector: projector.project(each.projection, embeddings) for each in left})
        written += len(ids)
        advance(len(ids), total)
    return written
