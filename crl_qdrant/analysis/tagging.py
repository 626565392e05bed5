"""A criterion's words as tags in the payload, for filters: {"crl": {"fabric": "denim", "fabric_score": 0.93}}.

Each batch is compared with the stored tags, and only differences are written. So tagging can be interrupted and
repeated at any time, and nothing else in the payload changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.analysis.fields import check_parent, claim_field, Field, field_entry
from crl_qdrant.analysis.tag_scale import TagScale
from crl_qdrant.common.arguments import finite_number, whole_number
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.manifest import StoredCriterion
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import SCORE
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.stores import Store

__all__ = ["TagOptions", "tag"]

_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class TagOptions:
    """Options of `CRLCollection.tag`, checked.

    Attributes:
        top: words of an item, at most.
        min_score: words with a lower score are left out.
        field: the payload field to write to; None: the criterion's name below `crl`.
        overwrite: whether to write to a field with other values.
        batch_size: points in one write.
    """

    top: int
    min_score: float
    field: str | None
    overwrite: bool
    batch_size: int

    def __post_init__(self) -> None:
        for name in ("top", "batch_size"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least=1))
        object.__setattr__(self, "min_score", finite_number("min_score", self.min_score))
        if not 0 <= self.min_score <= 1:
            raise InputError(f"`min_score` must be between 0 and 1, got {self.min_score!r}")


def tag(
    store: Store,
    criteria: Criteria,
    resident: Resident,
    name: str,
    options: TagOptions,
    *,
    query_filter: models.Filter | None,
    advance: Advance,
) -> int:
    """Write a criterion's words to the payload; `CRLCollection.tag` has the arguments and errors."""
    stored = criteria.find(name)
    field = _checked_field(options.field, name, criteria)
    average = resident.sample()
    if not len(average):
        return 0
    words = _Words(stored, average, options)
    claim_field(store, criteria, field, overwrite=options.overwrite)
    total, written = store.count(query_filter), 0
    for ids, embeddings in store.scroll(
        vector=criteria.manifest.raw.vector, query_filter=query_filter, batch_size=options.batch_size
    ):
        changed = list(_changed(store, field, ids, words.tags(embeddings)))
        store.set_payload([point for point, _ in changed], [entry for _, entry in changed], key=field.parent)
        written += len(changed)
        advance(len(ids), total)
    return written


class _Words:
    """One criterion's words for items."""

    def __init__(self, stored: StoredCriterion, sample: Float32Array, options: TagOptions) -> None:
        from crl_qdrant.search.explain import WordSpace

        self._words = stored.criterion.words
        self._space = WordSpace(stored.projection, self._words, sample)
        self._scale = TagScale(np.asarray(stored.criterion.embeddings), sample, self._space.more(sample))
        self._options = options

    def tags(self, embeddings: Float32Array) -> list[Payload]:
        """Word and score of each item, as values by suffix; lists where several words are asked for."""
        more = self._space.more(embeddings)
        order = _most_first(more)[:, : self._options.top]
        scores = self._scale.scores(embeddings, more, order)
        return [self._tag(*each) for each in zip(order, scores, more, strict=True)]

    def _tag(
        self, order: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], more: npt.NDArray[np.float64]
    ) -> Payload:
        chosen = [
            (self._words[word], round(float(score), _DIGITS))
            for word, score in zip(order, scores, strict=True)
            if more[word] > 0 and score >= self._options.min_score
        ]
        if not chosen:
            return {}
        if self._options.top == 1:
            return {"": chosen[0][0], SCORE: chosen[0][1]}
        return {"": [word for word, _ in chosen], SCORE: [score for _, score in chosen]}


def _most_first(more: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Positions of the words [N, K]: the word to show first, the others by how much the item is of them."""
    from crl_qdrant.search.explain import positions_to_show

    ahead = more.copy()
    ahead[np.arange(len(more)), positions_to_show(more)] = np.inf
    return np.argsort(-ahead, axis=1, kind="stable")


def _changed(store: Store, field: Field, ids: list[PointId], tags: list[Payload]) -> Iterator[tuple[PointId, Payload]]:
    """The points whose stored tags differ, and the entries to write below the field's parent."""
    known = {record.id: record for record in store.retrieve(ids, with_payload=field.roots)}
    for point, values in zip(ids, tags, strict=True):
        record = known.get(point)  # None if the point was removed meanwhile
        if record is None:
            continue
        check_parent(record, field)
        stored = field.entry_in(record.payload or {})
        entry = field_entry(field, values)
        if stored != entry:
            yield point, entry


def _checked_field(path: Any, name: str, criteria: Criteria) -> Field:
    """The field to write to, unless the tags of another criterion are there."""
    field = Field.of_criterion(name) if path is None else Field.parse(path)
    for other in criteria.manifest.criteria.keys() - {name}:
        taken = Field.of_criterion(other)
        if {field, field.beside(SCORE)} & {taken, taken.beside(SCORE)}:
            raise InputError(
                f"`field` must be another than {field.path!r}, where the tags of criterion {other!r} are; choose one "
                "like crl.other"
            )
    return field
