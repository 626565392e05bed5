"""Candidates in order -> hits: variants folded, payloads read, explanations made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TYPE_CHECKING

import numpy as np

from crl_qdrant.embeddings import Float32Array
from crl_qdrant.errors import InputError
from crl_qdrant.points import at_path, Payload, PointId
from crl_qdrant.search.asked import Asked, Ranked
from crl_qdrant.search.combine import mean_direction
from crl_qdrant.search.hit import Explanation, Hit
from crl_qdrant.search.resident import Resident
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
        ranked = ranked.at(range(min(query.offset, len(ranked.ids)), min(asked.end, len(ranked.ids))))
        payloads = self._payloads(ranked.ids, query.with_payload)
        explanations = self._explanations(asked, ranked.ids) if query.explain else {}
        hits = []
        for at, point in enumerate(ranked.ids):
            if point not in payloads:  # another process removed it since the scan was loaded
                continue
            scores = {name: float(values[at]) for name, values in ranked.parts.items()}
            group = groups.get(point)
            hits.append(
                Hit(
                    point,
                    float(ranked.scores[at]),
                    payloads[point],
                    scores,
                    None if isinstance(group, _Alone) else group,
                    explanations.get(point, {}),
                )
            )
        return hits

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
        for space in asked.spaces.values():
            if space.stored is not None and space.stored.projection.head is not None:
                raise InputError(
                    f"criterion {space.name!r} has a trained head, and its cosines are no sums over words; search "
                    "without explain, and ask describe() for an item's words"
                )
        known, embeddings = self._resident.embeddings_of(ids)
        made: dict[PointId, dict[str, Explanation]] = {point: {} for point in known}
        for space in asked.spaces.values():
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


def _in_words(words: WordSpace, target: Target) -> np.ndarray:
    like = words.represent(target.like)
    unlike = words.represent(target.unlike) if len(target.unlike) else like[:0]
    return mean_direction(like, unlike).astype(np.float64)


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, (list, dict)) else value
