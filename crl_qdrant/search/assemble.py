"""Candidates in order -> hits: variants folded, payloads read, explanations made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TYPE_CHECKING

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import at_path, Payload, PointId
from crl_qdrant.errors import InputError
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.request import Asked, Ranked
from crl_qdrant.search.results import Explanation, Hit
from crl_qdrant.search.scoring import mean_direction
from crl_qdrant.search.space import Space
from crl_qdrant.search.target import Target
from crl_qdrant.stores import Store, WithPayload

if TYPE_CHECKING:
    from crl_qdrant.search.explain import WordSpace

__all__ = ["Completion"]


class Completion:
    """What is done for hits once their order is known."""

    def __init__(self, store: Store, resident: Resident) -> None:
        self._store = store
        self._resident = resident
        self._word_spaces: dict[str, tuple[Float32Array, WordSpace]] = {}  # by fingerprint, with the sample they know

    def hits(self, asked: Asked, ranked: Ranked) -> list[Hit]:
        """The hits from `offset` on, at most `limit`, with all that the query asks for."""
        query = asked.query
        groups: dict[PointId, Any] = {}
        if query.group_by:
            groups = dict(zip(ranked.ids, self.groups(ranked.ids, query.group_by), strict=True))
            first: dict[Any, int] = {}
            for at, point in enumerate(ranked.ids):
                first.setdefault(_hashable(groups[point]), at)
            ranked = ranked.at(list(first.values()))
        ranked = _page(asked, ranked)
        hits = _made(ranked, self._payloads(ranked.ids, query.with_payload))
        explanations = self._explanations(asked, ranked.ids) if query.explain else {}
        for hit in hits:
            group = groups.get(hit.id)
            hit.group = None if isinstance(group, _Alone) else group
            hit.explanation = explanations.get(hit.id, {})
        return hits

    def hits_together(self, every: Sequence[tuple[Asked, Ranked]]) -> list[list[Hit]]:
        """The hits of many searches that ask for no groups and no explanations, their payloads read together."""
        pages = [(asked.query.with_payload, _page(asked, ranked)) for asked, ranked in every]
        payloads: dict[str, dict[PointId, Payload | None]] = {}
        for wish, _ in pages:
            if str(wish) not in payloads:
                ids = dict.fromkeys(point for other, page in pages if other == wish for point in page.ids)
                payloads[str(wish)] = self._payloads(list(ids), wish)
        return [_made(page, payloads[str(wish)]) for wish, page in pages]

    def groups(self, ids: Sequence[PointId], key: str) -> list[Any]:
        """What each point is a variant of: the field's value, or the point alone where it has none."""
        payloads = self._payloads(ids, [key])
        values = [at_path(payloads.get(each) or {}, key) for each in ids]
        return [_Alone(each) if value is None else value for each, value in zip(ids, values, strict=True)]

    def number_of_groups(self, ids: Sequence[PointId], key: str) -> int:
        """How many products the points fold to."""
        return len({_hashable(group) for group in self.groups(ids, key)})

    def describe(self, space: Space, target: Target, number: int) -> list[tuple[str, float]]:
        """The words of a criterion that the target is more of than the collection's average item."""
        words = self._words(space)
        return words.describe(_in_words(words, target), number)

    def _payloads(self, ids: Sequence[PointId], with_payload: WithPayload) -> dict[PointId, Payload | None]:
        if not len(ids):
            return {}
        return {record.id: record.payload for record in self._store.retrieve(ids, with_payload=with_payload)}

    def _explanations(self, asked: Asked, ids: list[PointId]) -> dict[PointId, dict[str, Explanation]]:
        spaces = [aim.space for aim in asked.aims.values()]
        for space in spaces:
            if space.stored is not None and space.stored.projection.head is not None:
                raise InputError(
                    f"criterion {space.name!r} has a trained head, and its cosines are no sums over words; search "
                    "without explain, and ask describe() for an item's words"
                )
        known, embeddings = self._resident.embeddings_of(ids)
        made: dict[PointId, dict[str, Explanation]] = {point: {} for point in known}
        for space in spaces:
            if space.stored is None or not known:
                continue
            words = self._words(space)
            of_query = _in_words(words, asked.target)
            for point, row in zip(known, words.represent(embeddings), strict=True):
                made[point][space.name] = words.explain(of_query, row)
        return made

    def _words(self, space: Space) -> WordSpace:
        if space.stored is None:
            raise InputError("only a criterion has words; name one")
        from crl_qdrant.search.explain import WordSpace

        sample = self._resident.sample()
        if not len(sample):
            raise InputError("the collection holds no item yet, and words are found beside its average item")
        known = self._word_spaces.get(space.key)
        if known is None or known[0] is not sample:
            known = self._word_spaces[space.key] = (sample, WordSpace(space.stored, sample))
        return known[1]


class _Alone:
    """A group of its own: a point that lacks the field, which is a variant of nothing else."""

    def __init__(self, point: PointId) -> None:
        self.point = point

    def __hash__(self) -> int:
        return hash(self.point)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alone) and other.point == self.point


def _page(asked: Asked, ranked: Ranked) -> Ranked:
    """From `offset` on, at most `limit`."""
    if asked.query.offset == 0 and len(ranked.ids) <= asked.end:
        return ranked
    return ranked.at(range(min(asked.query.offset, len(ranked.ids)), min(asked.end, len(ranked.ids))))


def _made(ranked: Ranked, payloads: dict[PointId, Payload | None]) -> list[Hit]:
    scores = {name: values.tolist() for name, values in ranked.parts.items()}
    return [
        Hit(point, score, payloads[point], {name: values[at] for name, values in scores.items()})
        for at, (point, score) in enumerate(zip(ranked.ids, ranked.scores.tolist(), strict=True))
        if point in payloads  # else another process removed it since the scan was loaded
    ]


def _in_words(words: WordSpace, target: Target) -> np.ndarray:
    like = words.represent(target.like)
    unlike = words.represent(target.unlike) if len(target.unlike) else like[:0]
    return mean_direction(like, unlike).astype(np.float64)


def _hashable(value: Any) -> Any:
    """What equal values of a payload have in common, and no others: true is not 1, [1] not its text."""
    if isinstance(value, (list, dict)):
        return "JSON", json.dumps(value, sort_keys=True)
    return isinstance(value, bool), value
