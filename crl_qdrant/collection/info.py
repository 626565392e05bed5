"""What a collection holds, told from its manifest and its store."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_client import models

from crl_qdrant.criteria.manifest import CriterionState, Lineage, RawVector, StoredCriterion
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.criteria.sample import has_images
from crl_qdrant.projection.fit import FEWEST_IMAGES
from crl_qdrant.projection.options import Options, PRESETS
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
        lift: how much more than chance the words tell of the images (1 is chance), where its shares were found by it.
        rest: the plain image's share of the cosine.
        awaits_images: whether it was defined with fewer than 256 images in the collection, and is not fitted to them.
        advice: what would make its answers better, with the command; "" for nothing.
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
    lift: float | None
    rest: float
    awaits_images: bool
    advice: str

    @property
    def status(self) -> str:
        """State and what there is to know of it, in words: "materialized, change pending"."""
        remarks = {"change pending": self.pending, "outdated": self.outdated, "trained head": self.head}
        remarks["defined before there were images"] = self.awaits_images
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
        _criterion_info(lineage, store, manifest.raw, outdated=criteria.is_outdated(criterion))
        for criterion, lineage in manifest.lineages.items()
    ]
    return CollectionInfo(name, store.count(), manifest.encoder, manifest.dimension, told)


def _criterion_info(lineage: Lineage, store: Store, raw: RawVector, *, outdated: bool) -> CriterionInfo:
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
        lift=stored.projection.lift,
        rest=stored.projection.rest,
        awaits_images=stored.projection.awaits_images,
        advice=_advice(lineage.latest, has_images(store, raw, FEWEST_IMAGES)),
    )


def _advice(version: StoredCriterion, has_enough_images: bool) -> str:
    command = f"crl-qdrant criteria add {shlex.quote(version.criterion.name)}"
    if version.projection.awaits_images and has_enough_images:
        return f"fit it to the images that have come since: {command}"
    if version.projection.form == 1 and version.criterion.options == PRESETS["default-0.1"]:
        return f"it has the default of version 0.1, and there is a better one: {command} --preset default"
    return ""
