"""What a collection holds, told from its manifest and its store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_client import models

from crl_qdrant.criteria.manifest import CriterionState, Lineage
from crl_qdrant.criteria.registry import Criteria
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
        state: how far its named vector has come.
        vector: that named vector's name.
        fingerprint: 16 hex digits that change with the representations.
        points: how many points have the named vector.
        pending: whether a changed version waits to be materialised.
        outdated: whether a criterion that it suppresses has changed since it was materialised.
        head: whether a trained head is part of it.
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

    @property
    def status(self) -> str:
        """State and what there is to know of it, in words: "materialized, change pending"."""
        remarks = {"change pending": self.pending, "outdated": self.outdated, "trained head": self.head}
        return ", ".join([self.state.value, *(remark for remark, holds in remarks.items() if holds)])


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What a collection holds."""

    name: str
    points: int
    encoder: str | None
    dimension: int
    criteria: Sequence[CriterionInfo]


def collection_info(name: str, store: Store, criteria: Criteria) -> CollectionInfo:
    """What the collection of this name holds, by its manifest as it was last read."""
    manifest = criteria.manifest
    told = [
        _criterion_info(lineage, store, outdated=criteria.is_outdated(criterion))
        for criterion, lineage in manifest.lineages.items()
    ]
    return CollectionInfo(name, store.count(), manifest.encoder, manifest.dimension, told)


def _criterion_info(lineage: Lineage, store: Store, *, outdated: bool) -> CriterionInfo:
    stored, criterion = lineage.current, lineage.current.criterion
    present = models.Filter(must=[models.HasVectorCondition(has_vector=stored.vector)])
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
        outdated=outdated,
        head=stored.projection.head is not None,
    )
