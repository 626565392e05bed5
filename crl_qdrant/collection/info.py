"""A collection's contents, counted in its store and told from its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_client import models

from crl_qdrant.criteria.manifest import CriterionState, Lineage, Manifest
from crl_qdrant.criteria.registry import is_outdated
from crl_qdrant.criteria.vectors import lacking
from crl_qdrant.projection.options import Options
from crl_qdrant.stores import Store

__all__ = ["CollectionInfo", "CriterionInfo", "collection_info"]


@dataclass(frozen=True, slots=True)
class CriterionInfo:
    """A criterion of a collection, as it is searched by.

    Attributes:
        name: its name.
        words: its words.
        prompts: the sentences that its words are embedded in.
        options: how the words become a projection.
        rank: dimensions of its representations.
        state: the progress of its named vector.
        vector: that named vector's name.
        fingerprint: 16 hex digits that change with the representations.
        points: how many points have the named vector.
        pending: whether a changed version waits to be materialized.
        outdated: whether a criterion that it suppresses has changed since it was materialized.
        head: whether a trained head is part of it.
        lacking: how many points with an embedding lack the named vector of a materialized criterion: searches do not
            find them until `materialize` writes it. Another program wrote them, or damaged files were mended.
    """

    name: str
    words: Sequence[str]
    prompts: Sequence[str]
    options: Options
    rank: int
    state: CriterionState
    vector: str
    fingerprint: str
    points: int
    pending: bool
    outdated: bool
    head: bool
    lacking: int = 0

    @property
    def status(self) -> str:
        """The state with remarks: "materialized, change pending"."""
        remarks = {
            "change pending": self.pending,
            "outdated": self.outdated,
            "trained head": self.head,
            f"{self.lacking} points lack it": self.lacking,
        }
        return ", ".join([self.state.value, *(remark for remark, holds in remarks.items() if holds)])


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection's size, encoder and criteria."""

    name: str
    points: int
    encoder: str | None
    dimension: int
    criteria: Sequence[CriterionInfo]


def collection_info(name: str, store: Store, manifest: Manifest) -> CollectionInfo:
    """The contents of the collection of this name, by its manifest as it was last read."""
    told = [_criterion_info(lineage, store, manifest) for lineage in manifest.lineages.values()]
    return CollectionInfo(name, store.count(), manifest.encoder, manifest.dimension, told)


def _criterion_info(lineage: Lineage, store: Store, manifest: Manifest) -> CriterionInfo:
    stored, criterion = lineage.current, lineage.current.criterion
    present = models.Filter(must=[models.HasVectorCondition(has_vector=stored.vector)])
    materialized = stored.state is CriterionState.MATERIALIZED
    return CriterionInfo(
        name=criterion.name,
        words=criterion.words,
        prompts=criterion.prompts,
        options=criterion.options,
        rank=stored.rank,
        state=stored.state,
        vector=stored.vector,
        fingerprint=stored.projection.key,
        points=store.count(present) if stored.has_vector else 0,
        pending=lineage.pending is not None,
        outdated=is_outdated(stored, manifest),
        head=stored.projection.head is not None,
        lacking=store.count(lacking(stored.vector, having=manifest.raw.vector)) if materialized else 0,
    )
