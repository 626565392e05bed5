"""Finds the candidates of a search that is more than the engine's nearest, scores them and puts them in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.errors import InputError
from crl_qdrant.search.closeness import Closeness
from crl_qdrant.search.exact import search_exactly
from crl_qdrant.search.fused import FusedDirections
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.memory.sample import SAMPLE
from crl_qdrant.search.nearest import among, goal_query, nearest, rerank_candidates
from crl_qdrant.search.request import Goal, MODIFIER, Ranked, Request
from crl_qdrant.search.scoring import add_examples, compose_as_paper, mean_direction, most_diverse, ranking
from crl_qdrant.search.standardizing import goal_names, parts_of, Standard
from crl_qdrant.search.variants import Groups
from crl_qdrant.stores import Store

__all__ = ["Candidates"]

# Candidates of a search that scores some points, for each that `oversample` asks for: so many whatever the limit, since
# the pages of one search must have the same ones.
_COMBINED: Final = 50
_ALIKE: Final = 10
_DIVERSE: Final = 20
_FEWEST_IN_GROUPS: Final = 50


class Candidates:
    """The candidates of one collection's searches."""

    def __init__(self, store: Store, criteria: Criteria, resident: Resident, closeness: Closeness) -> None:
        self._store = store
        self._criteria = criteria
        self._resident = resident
        self._closeness = closeness
        self._fused = FusedDirections(resident)

    @property
    def _raw(self) -> str:
        """The named vector of the raw embeddings."""
        return self._criteria.manifest.raw.vector

    def given(self, request: Request, ids: Sequence[PointId]) -> tuple[Ranked, int]:
        """Order the given points that may be hits; with the number that were scored."""
        query = request.query
        ids = [each for each in dict.fromkeys(ids) if each not in request.excluded]
        if query.query_filter is not None and ids:
            own = models.HasIdCondition(has_id=list(ids))
            ids = among(models.Filter(must=[query.query_filter, own]), self._store)
        ranked = self._scored(request, ids)
        considered = len(ranked.ids)
        ranked = self.cut(request, ranked)
        return self._spread(request, ranked) if query.diversity else ranked, considered

    def ranked(self, request: Request) -> tuple[Ranked, int]:
        """The candidates in order, as many as are needed, and how many were scored by us."""
        query, number = request.query, request.end
        if query.diversity:
            number = _enough(_DIVERSE * query.oversample, request.end)
        elif query.group_by:
            number = max(number * 4, _FEWEST_IN_GROUPS)
        groups = None if query.group_by is None else Groups(self._store, query.group_by)
        while True:
            found, considered = self._find(request, number)
            ranked = self.cut(request, found)
            # all that follows is worse: by the score, or by the closeness that it stands for
            is_over = len(ranked.ids) < len(found.ids) and (query.min_closeness is None or request.is_plain)
            # variants of a product take places, and so do hits that are not close: look further until there are enough
            kept = len(ranked.ids) if groups is None else groups.count(ranked.ids)
            if len(found.ids) < number or is_over or kept >= request.end:
                break
            number *= 4
        if query.diversity:
            ranked = self._spread(request, ranked)
        return ranked, considered

    def cut(self, request: Request, ranked: Ranked) -> Ranked:
        """The candidates that reach `score_threshold` and, in every criterion asked for, `min_closeness`."""
        query = request.query
        if query.score_threshold is None and query.min_closeness is None:
            return ranked
        good = np.ones(len(ranked.ids), dtype=bool)
        if query.score_threshold is not None:
            good &= ranked.scores >= query.score_threshold
        if query.min_closeness is not None:
            for goal in request.goals:
                if goal.weight > 0 and len(good):
                    close = self._closeness.of(goal.space, ranked.parts[goal.space.name])
                    if np.isnan(close).any():
                        raise InputError(
                            "`min_closeness` must be None where the collection has fewer than 10 items: there are too "
                            "few similarities to compare with"
                        )
                    good &= close >= query.min_closeness
        return ranked.at(np.flatnonzero(good))

    def expanded(self, request: Request, given: Sequence[PointId] | None = None) -> Request:
        """The request with its first hits, of all points or of the given ones, averaged into its directions."""
        number = request.query.expand
        first = replace(request.query, limit=number, offset=0, diversity=0.0, group_by=None, expand=0, explain=False)
        plain = replace(request, query=first)
        ranked, _ = self.ranked(plain) if given is None else self.given(plain, given)
        ids, embeddings = self._resident.embeddings_of(ranked.ids[:number])
        if not ids:
            return request
        goals = tuple(
            replace(goal, direction=add_examples(goal.direction, goal.space.represent_few(embeddings)))
            if goal.weight > 0
            else goal
            for goal in request.goals
        )
        return replace(request, goals=goals)

    def _find(self, request: Request, number: int) -> tuple[Ranked, int]:
        """Candidates in order, and how many were scored by us; where they are fewer than `number` there are no more."""
        if request.is_plain:
            found, considered = nearest(request, number, self._store, self._resident, self._raw)
            return Ranked.of_one(found, request.main.space.name), considered
        wanted = [goal for goal in request.every_goal if goal.weight > 0]
        if request.query.scoring == "paper" and request.modifier is not None:
            return self._by_each(request, wanted, _enough(_ALIKE * request.query.oversample, number))
        if not wanted:
            # what is unlike in some respect is looked for among what is alike overall
            alike = Goal(self._criteria.space(None), mean_direction(request.like, request.unlike))
            return self._by_each(request, [alike], _enough(_ALIKE * request.query.oversample, number))
        if request.plan.strategy == "scan":
            return self._by_scan(request, number)
        return self._by_each(request, wanted, _enough(_COMBINED * request.query.oversample, number), fused=True)

    def _by_scan(self, request: Request, number: int) -> tuple[Ranked, int]:
        """The best of all points: each one's score is a sum of products, up to a constant."""
        query, standard = request.query, Standard(request, self._resident)
        chosen = None if query.query_filter is None else among(query.query_filter, self._store)
        terms = [(goal.space, direction) for goal, direction in standard.terms()]
        if not terms:  # the sample is all alike in every goal, and so are the points for all that is known
            main = request.main
            terms = [(main.space, main.direction[None])]

        def score(_: int, embeddings: Float32Array) -> np.ndarray:
            return standard.score(parts_of(request, embeddings))

        (found,) = search_exactly(self._resident, terms, score, limit=number, among=chosen, without=request.excluded)
        considered = len(self._resident.scan()) if chosen is None else len(chosen)
        return self._scored(request, [point for point, _ in found]), considered

    def _by_each(
        self, request: Request, wanted: Sequence[Goal], number: int, *, fused: bool = False
    ) -> tuple[Ranked, int]:
        """The candidates that each goal brings, and with `fused` those that are good by all and the best by none."""
        sample = self._resident.sample() if fused else None
        if sample is not None and len(sample) < SAMPLE:
            number, fused = max(number, SAMPLE), False  # every point is a candidate
        raw = Goal(self._criteria.space(None), request.like[0])
        searches = list(wanted)
        if fused:
            direction = self._fused.direction(Standard(request, self._resident).of_sample())
            if direction is not None:
                searches.append(replace(raw, direction=direction))
        spaces = [goal.space for goal in [*searches, *request.every_goal]]
        if request.plan.strategy == "named" and all(space.indexed for space in spaces):
            return self._rescored(request, searches, number)
        candidates: dict[PointId, None] = {}
        for goal in searches:
            if request.plan.strategy == "scan":
                points = self._scan_for(request, goal, number)
            elif goal.space.indexed:
                points = [each.id for each in self._store.query(goal_query(request, goal, number))]
            else:
                points = rerank_candidates(request, goal, number, self._store, self._resident, raw_vector=self._raw)
            candidates |= dict.fromkeys(points)
        return self._scored(request, list(candidates)), len(candidates)

    def _scan_for(self, request: Request, goal: Goal, number: int) -> list[PointId]:
        """The points nearest to one goal by the scan."""
        query_filter = request.query.query_filter
        chosen = None if query_filter is None else among(query_filter, self._store)
        (found,) = self._resident.scan().search(
            [(goal.space, goal.direction[None])], limit=number, among=chosen, without=request.excluded
        )
        return [point for point, _ in found]

    def _rescored(self, request: Request, searches: Sequence[Goal], number: int) -> tuple[Ranked, int]:
        """The candidates by scores that the engine computes, from the named vectors: no embedding leaves it."""
        goals = goal_names(request)
        found = self._store.rescore(
            [goal_query(request, goal, number) for goal in searches],
            [(goal.direction, goal.space.vector) for goal in goals.values()],
        )
        # the engine's index may miss a point in one space; then it is scored from its embedding
        ids = list(dict.fromkeys(point for scores in found for point in scores))
        if any(len(scores) < len(ids) for scores in found):
            return self._scored(request, ids), len(ids)
        parts = {
            name: np.array([scores[point] for point in ids], dtype=np.float64).clip(-1.0, 1.0)
            for name, scores in zip(goals, found, strict=True)
        }
        if request.modifier is not None:  # the engine's cosine is that of a unit vector
            parts[MODIFIER] *= float(np.linalg.norm(request.modifier.direction))
        return self._ordered(request, ids, parts), len(ids)

    def _scored(self, request: Request, candidates: list[PointId]) -> Ranked:
        """The candidates by exact scores, computed from their raw embeddings."""
        ids, embeddings = self._resident.embeddings_of(candidates)
        return self._ordered(request, ids, parts_of(request, embeddings) if ids else {})

    def _ordered(self, request: Request, ids: list[PointId], parts: dict[str, np.ndarray]) -> Ranked:
        """The candidates in the order of their score."""
        if not ids:
            return Ranked([], np.empty(0), {})
        if request.is_plain:
            (scores,) = parts.values()
        elif request.query.scoring == "paper" and request.modifier is not None:
            similarity, modifier = parts.values()
            scores = compose_as_paper(similarity, modifier, request.goals[0].weight)
        else:
            scores = Standard(request, self._resident).score(parts)
        return Ranked(ids, scores, parts).at(ranking(scores, ids))

    def _spread(self, request: Request, ranked: Ranked) -> Ranked:
        """The candidates in an order that avoids near-duplicates in the main criterion's own space."""
        ids, embeddings = self._resident.embeddings_of(ranked.ids)
        if not ids:
            return ranked
        row = {point: at for at, point in enumerate(ids)}
        ranked = ranked.at([at for at, point in enumerate(ranked.ids) if point in row])
        representations = request.main.space.represent_few(embeddings[[row[point] for point in ranked.ids]])
        number = len(ranked.ids) if request.query.group_by else request.end
        return ranked.at(most_diverse(ranked.scores, representations, diversity=request.query.diversity, limit=number))


def _enough(first: int, least: int) -> int:
    """`first`, or the first of its multiples by powers of 4 that is at least `least`."""
    while first < least:
        first *= 4
    return first
