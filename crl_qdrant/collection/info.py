"""A collection's contents, counted in its store and told from its manifest."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_client import models

from crl_qdrant.criteria.manifest import CriterionState, Lineage, Manifest, StoredCriterion
from crl_qdrant.criteria.registry import is_outdated
from crl_qdrant.criteria.sample import has_images
from crl_qdrant.criteria.vectors import lacking
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
        state: the progress of its named vector.
        vector: that named vector's name.
        fingerprint: 16 hex digits that change with the representations.
        points: how many points have the named vector.
        pending: whether a changed version waits to be materialized.
        outdated: whether a criterion that it suppresses has changed since it was materialized.
        head: whether a trained head is part of it.
        lift: how much more than chance the words tell of the images (1 is chance), where its shares were found by it.
        rest: the plain image's share of the cosine.
        awaits_images: whether it was defined with fewer than 256 images in the collection, and is not fitted to them.
        advice: a sentence that ends in the command that would improve its answers; "" for none.
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
    lift: float | None
    rest: float
    awaits_images: bool
    advice: str
    lacking: int

    @property
    def status(self) -> str:
        """The state with remarks: "materialized, change pending"."""
        remarks = {
            "change pending": self.pending,
            "outdated": self.outdated,
            "trained head": self.head,
            "not fitted to images": self.awaits_images,
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
    can_be_fitted = has_images(store, manifest.raw, FEWEST_IMAGES)
    told = [_criterion_info(lineage, store, manifest, can_be_fitted) for lineage in manifest.lineages.values()]
    return CollectionInfo(name, store.count(), manifest.encoder, manifest.dimension, told)


def _criterion_info(lineage: Lineage, store: Store, manifest: Manifest, can_be_fitted: bool) -> CriterionInfo:
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
        lift=stored.projection.lift,
        rest=stored.projection.rest,
        awaits_images=stored.projection.awaits_images,
        advice=_advice(lineage.latest, can_be_fitted),
        lacking=store.count(lacking(stored.vector, having=manifest.raw.vector)) if materialized else 0,
    )


def _advice(version: StoredCriterion, has_enough_images: bool) -> str:
    command = f"crl-qdrant criteria add {shlex.quote(version.criterion.name)}"
    if version.projection.awaits_images and has_enough_images:
        return f"it was defined before there were images; define it again: {command}"
    if version.projection.form == 1 and version.criterion.options == PRESETS["default-0.1"]:
        return f"it has the default of version 0.1, and there is a better one: {command} --preset default"
    return ""
