"""Candidates in order -> hits: variants folded, payloads read, explanations made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.criteria.space import Space
from crl_qdrant.errors import InputError
from crl_qdrant.search.closeness import Closeness
from crl_qdrant.search.explain import WordSpace
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.request import Ranked, Request
from crl_qdrant.search.results import Explanation, Hit
from crl_qdrant.search.variants import Groups
from crl_qdrant.stores import Store, WithPayload

__all__ = ["Assembly"]


class Assembly:
    """Makes hits of candidates whose order is known."""

    def __init__(self, store: Store, resident: Resident, closeness: Closeness) -> None:
        self._store = store
        self._resident = resident
        self._closeness = closeness
        self._word_spaces: dict[str, tuple[Float32Array, WordSpace]] = {}  # by key, with the sample they know

    def hits(self, request: Request, ranked: Ranked) -> list[Hit]:
        """The hits from `offset` on, at most `limit`, with all that the query asks for."""
        query = request.query
        groups = None if query.group_by is None else Groups(self._store, query.group_by)
        if groups is not None:
            ranked = groups.fold(ranked)
        ranked = _page(request, ranked)
        hits = _make_hits(ranked, self._payloads(ranked.ids, query.with_payload))
        explanations = self._explanations(request, ranked) if query.explain else {}
        for hit in hits:
            hit.group = None if groups is None else groups.value(hit.id)
            hit.explanation = explanations.get(hit.id, {})
        if (query.explain or query.min_closeness is not None) and query.text is None:
            self._add_closeness(request, hits)
        return hits

    def hits_together(self, every: Sequence[tuple[Request, Ranked]]) -> list[list[Hit]]:
        """The hits of many searches that ask for no groups and no explanations, their payloads read together."""
        pages = [(request.query.with_payload, _page(request, ranked)) for request, ranked in every]
        payloads: dict[str, dict[PointId, Payload | None]] = {}
        for wish, _ in pages:
            if str(wish) not in payloads:
                ids = dict.fromkeys(point for other, page in pages if other == wish for point in page.ids)
                payloads[str(wish)] = self._payloads(list(ids), wish)
        return [_make_hits(page, payloads[str(wish)]) for wish, page in pages]

    def describe(self, request: Request, number: int) -> list[tuple[str, float]]:
        """The words of the request's criterion that its examples are more of than the collection's average item."""
        words = self._words(request.main.space)
        return words.describe(words.direction(request.like, request.unlike), number)

    def _payloads(self, ids: Sequence[PointId], with_payload: WithPayload) -> dict[PointId, Payload | None]:
        if not len(ids):
            return {}
        return {record.id: record.payload for record in self._store.retrieve(ids, with_payload=with_payload)}

    def _add_closeness(self, request: Request, hits: list[Hit]) -> None:
        for goal in request.goals:
            name = goal.space.name
            values = self._closeness.of(goal.space, np.array([hit.scores[name] for hit in hits], dtype=np.float64))
            for hit, value in zip(hits, values.tolist(), strict=True):
                if not math.isnan(value):
                    hit.closeness = {**hit.closeness, name: value}

    def _explanations(self, request: Request, ranked: Ranked) -> dict[PointId, dict[str, Explanation]]:
        goals = [goal for goal in request.goals if goal.space.projection is not None]
        for space in (goal.space for goal in goals):
            if space.projection is not None and space.projection.head is not None:
                raise InputError(
                    f"criterion {space.name!r} has a trained head, and its cosines are no sums over words; search "
                    "without `explain`, and ask describe() for an item's words"
                )
        known, embeddings = self._resident.embeddings_of(ranked.ids)
        place = {point: at for at, point in enumerate(ranked.ids)}
        made: dict[PointId, dict[str, Explanation]] = {point: {} for point in known}
        for goal in goals if known else []:
            name = goal.space.name
            cosines = [float(ranked.parts[name][place[point]]) for point in known]
            explained = self._words(goal.space).explain(goal.direction.astype(np.float64), embeddings, cosines)
            for point, explanation in zip(known, explained, strict=True):
                made[point][name] = explanation
        return made

    def _words(self, space: Space) -> WordSpace:
        if space.projection is None:
            raise InputError("`criterion` must name a criterion to describe by, got None: only a criterion has words")
        sample = self._resident.sample()
        if not len(sample):
            raise InputError("the collection holds no item yet, and words are found beside its average item; add items")
        known = self._word_spaces.get(space.key)
        if known is None or known[0] is not sample:
            if len(self._word_spaces) > 32:
                self._word_spaces.clear()
            known = self._word_spaces[space.key] = (sample, WordSpace(space.projection, space.words, sample))
        return known[1]


def _page(request: Request, ranked: Ranked) -> Ranked:
    """From `offset` on, at most `limit`."""
    if request.query.offset == 0 and len(ranked.ids) <= request.end:
        return ranked
    return ranked.at(range(min(request.query.offset, len(ranked.ids)), min(request.end, len(ranked.ids))))


def _make_hits(ranked: Ranked, payloads: dict[PointId, Payload | None]) -> list[Hit]:
    scores = {name: values.tolist() for name, values in ranked.parts.items()}
    return [
        Hit(point, score, payloads[point], {name: values[at] for name, values in scores.items()})
        for at, (point, score) in enumerate(zip(ranked.ids, ranked.scores.tolist(), strict=True))
        if point in payloads  # else another process removed it since the scan was loaded
    ]
