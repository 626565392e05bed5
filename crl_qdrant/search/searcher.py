"""Answers queries: resolves them, chooses a plan, finds candidates and orders them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import EmbeddingError, StoreError
from crl_qdrant.lifecycle import Criteria
from crl_qdrant.points import PointId
from crl_qdrant.search.asked import Asked, Ranked
from crl_qdrant.search.combine import composed, most_diverse, ranking, weighted
from crl_qdrant.search.completion import Completion
from crl_qdrant.search.hit import Hit, Hits, Plan
from crl_qdrant.search.plan import choose
from crl_qdrant.search.query import Query
from crl_qdrant.search.resident import Resident
from crl_qdrant.search.space import RAW, Space
from crl_qdrant.search.strategies import Aim, narrowed, nearest
from crl_qdrant.search.target import embedded_together, resolve, text_embedding
from crl_qdrant.stores import Scored, Store, VectorQuery

__all__ = ["Searcher"]

_MODIFIER = "modifier"
_FEWEST_CANDIDATES = 50


class Searcher:
    """The searches of one collection; `CRLCollection` says what each does and raises."""

    def __init__(self, store: Store, criteria: Criteria, encoder: BoundEncoder, resident: Resident) -> None:
        self._store = store
        self._criteria = criteria
        self._encoder = encoder
        self._resident = resident
        self._completion = Completion(store, resident)

    def run(self, query: Query) -> Hits:
        """One query's hits."""
        started = time.perf_counter()
        asked = self._ask(query)
        try:
            return self._answer(asked, started)
        except StoreError:
            # another thread or process may have dropped the criterion's vector in between: then there is another plan
            self._criteria.refresh()
            again = self._ask(query)
            if again.plan == asked.plan:
                raise
            return self._answer(again, started)

    def run_batch(self, queries: Sequence[Query]) -> list[Hits]:
        """Many queries' hits: embedded together, the engine's searches in one round trip, a scan in one pass."""
        started = time.perf_counter()
        embedded = embedded_together(queries, self._encoder)
        every = [self._ask(query) for query in embedded]
        try:
            return self._answer_together(every, started)
        except StoreError:  # as for one query
            self._criteria.refresh()
            again = [self._ask(query) for query in embedded]
            if [asked.plan for asked in again] == [asked.plan for asked in every]:
                raise
            return self._answer_together(again, started)

    def _answer_together(self, every: list[Asked], started: float) -> list[Hits]:
        resolved = time.perf_counter()
        answers: dict[int, Hits] = {}
        plain = [at for at, asked in enumerate(every) if asked.is_plain and not asked.needs_candidates]
        if named := [at for at in plain if every[at].plan.strategy == "named"]:
            found = self._store.query_batch([self._engine_query(every[at]) for at in named])
            for at, points in zip(named, found, strict=True):
                answers[at] = self._finished(_engine_hits(every[at], points), every[at], 0, started, resolved)
        # a filter is one query's own; all others share a pass
        scanned = [at for at in plain if every[at].plan.strategy == "scan" and every[at].query.query_filter is None]
        if scanned:
            number = len(self._resident.scan())
            for at, hits in zip(scanned, self._scanned([every[at] for at in scanned]), strict=True):
                answers[at] = self._finished(hits, every[at], number, started, resolved)
        return [
            answers[at] if at in answers else self._answer(asked, time.perf_counter()) for at, asked in enumerate(every)
        ]

    def plan(self, query: Query) -> Plan:
        """How a query would be answered."""
        return self._plan(query, self._spaces(query))

    def rerank(self, query: Query, ids: Sequence[PointId]) -> Hits:
        """These points, in the query's order; those that are not in the collection are left out."""
        started = time.perf_counter()
        asked = self._ask(query, Plan("rerank", True, "the candidates were given"))
        resolved = time.perf_counter()
        ranked = self._scored(asked, list(dict.fromkeys(ids)))
        return self._finished(self._completion.hits(asked, ranked), asked, len(ranked.ids), started, resolved)

    def describe(self, query: Query, number: int) -> list[tuple[str, float]]:
        """The words of the query's criterion that its target is more of than the collection's average item."""
        asked = self._ask(query)
        return self._completion.describe(asked.main.space, asked.target, number)

    # ------------------------------------------------------------- what is asked

    def _ask(self, query: Query, plan: Plan | None = None) -> Asked:
        spaces = self._spaces(query)
        plan = plan or self._plan(query, spaces)
        target = resolve(query, self._resident, self._encoder, self._criteria.manifest.dimension)
        modifier = text_embedding(query.phrasings, self._encoder) if query.modifier is not None else None
        weights = {name or RAW: weight for name, weight in query.weights.items()}
        aims = {name: Aim(space, target) for name, space in spaces.items()}
        for name, aim in aims.items():
            if not aim.direction.any():
                raise EmbeddingError(
                    f"the query has no part in the words of criterion {name!r}, so nothing is nearest to it"
                    if aim.space.stored is not None and len(target.like) == 1 and not len(target.unlike)
                    else f"what the query is like and unlike cancels out in {name!r}, so nothing is nearest to it"
                )
        return Asked(query, target, aims, weights, modifier, plan)

    def _spaces(self, query: Query) -> dict[str, Space]:
        return {name or RAW: Space.of(self._criteria, name) for name in query.weights}

    def _plan(self, query: Query, spaces: dict[str, Space]) -> Plan:
        plans = [choose(space, query, self._resident) for space in spaces.values()]
        if len(plans) == 1 and query.modifier is None:
            return plans[0]
        # scores are exact, but only those of the candidates that the single searches bring
        strategies = dict.fromkeys(plan.strategy for plan in plans)
        reasons = dict.fromkeys(plan.reason for plan in plans)
        return Plan("+".join(strategies), False, "; ".join(reasons))

    # ---------------------------------------------------------------- candidates

    def _answer(self, asked: Asked, started: float) -> Hits:
        resolved = time.perf_counter()
        if asked.is_plain and asked.plan.strategy == "named" and not asked.needs_candidates:
            hits = _engine_hits(asked, self._store.query(self._engine_query(asked)))
            return self._finished(hits, asked, 0, started, resolved)
        ranked, considered = self._ranked(asked)
        return self._finished(self._completion.hits(asked, ranked), asked, considered, started, resolved)

    def _ranked(self, asked: Asked) -> tuple[Ranked, int]:
        """The candidates in order, as many as are needed, and how many were looked at."""
        query, number = asked.query, asked.end
        if not asked.is_plain or query.diversity:
            number = max(number * query.oversample, _FEWEST_CANDIDATES)
        elif query.group_by:
            number = max(number * 4, _FEWEST_CANDIDATES)
        while True:
            ranked, considered = self._find(asked, number)
            complete = len(ranked.ids) < number
            if query.score_threshold is not None:
                passing = np.flatnonzero(ranked.scores >= query.score_threshold)
                complete = complete or len(passing) < len(ranked.ids)
                ranked = ranked.at(passing)
            # variants of a product take places: look further until there are products enough, or no more points
            if complete or not query.group_by:
                break
            if self._completion.number_of_groups(ranked.ids, query.group_by) >= asked.end:
                break
            number *= 4
        if query.diversity:
            ranked = self._spread(asked, ranked)
        return ranked, considered

    def _find(self, asked: Asked, number: int) -> tuple[Ranked, int]:
        """Candidates in order, at most `number` where one space is searched, and how many were scored by us."""
        if asked.is_plain:
            found, considered = nearest(
                asked.plan.strategy, asked.main, number, asked.query, self._store, self._resident
            )
            return _of_pairs(found, asked.main.space), considered
        raw = Space.of(self._criteria, None)
        aims = [aim for name, aim in asked.aims.items() if asked.weights[name] > 0]
        if not aims:
            # what is unlike in some respect is looked for among what is alike overall
            aims = [Aim(raw, asked.target)]
        if asked.modifier is not None:
            text = (asked.modifier / np.linalg.norm(asked.modifier)).astype(np.float32)
            aims.append(Aim(raw, replace(asked.target, like=text[None], unlike=asked.target.unlike[:0])))
        plans = [choose(aim.space, asked.query, self._resident) for aim in aims]
        if all(plan.strategy == "named" for plan in plans):
            return self._rescored(asked, aims, number)
        candidates: dict[PointId, None] = {}
        for plan, aim in zip(plans, aims, strict=True):
            found, _ = nearest(plan.strategy, aim, number, asked.query, self._store, self._resident)
            candidates |= dict.fromkeys(point for point, _ in found)
        return self._scored(asked, list(candidates)), len(candidates)

    def _rescored(self, asked: Asked, aims: list[Aim], number: int) -> tuple[Ranked, int]:
        """The candidates by scores that the engine computes, from the named vectors: no embedding leaves it."""
        query, raw = asked.query, Space.of(self._criteria, None)
        narrow = narrowed(query.query_filter, asked.target.without)
        wanted = [
            VectorQuery(aim.direction, aim.space.vector, number, query_filter=narrow, params=query.search_params)
            for aim in aims
        ]
        by = [(aim.direction, aim.space.vector) for aim in asked.aims.values()]
        if asked.modifier is not None:
            by.append((asked.modifier, raw.vector))
        found = self._store.rescore(wanted, by)
        # the engine's index may miss a point in one space; then it is scored from its embedding
        ids = list(dict.fromkeys(point for scores in found for point in scores))
        if any(len(scores) < len(ids) for scores in found):
            return self._scored(asked, ids), len(ids)
        parts = {
            name: np.array([scores[point] for point in ids])
            for name, scores in zip([*asked.aims, _MODIFIER], found, strict=False)
        }
        if asked.modifier is not None:  # the engine's cosine is that of a unit vector
            parts[_MODIFIER] *= float(np.linalg.norm(asked.modifier))
        return self._combined(asked, ids, parts), len(ids)

    def _scored(self, asked: Asked, candidates: list[PointId]) -> Ranked:
        """The candidates by exact scores, computed from their raw embeddings."""
        ids, embeddings = self._resident.embeddings_of(candidates)
        if not ids:
            return Ranked([], np.empty(0), {})
        parts = {
            name: aim.space.represent(embeddings).astype(np.float64) @ aim.direction for name, aim in asked.aims.items()
        }
        if asked.modifier is not None:
            parts[_MODIFIER] = embeddings.astype(np.float64) @ asked.modifier
        return self._combined(asked, ids, parts)

    @staticmethod
    def _combined(asked: Asked, ids: list[PointId], parts: dict[str, np.ndarray]) -> Ranked:
        """The candidates in the order of their combined score."""
        if not ids:
            return Ranked([], np.empty(0), {})
        if asked.modifier is not None:
            similarity, modifier = parts.values()
            scores = composed(similarity, modifier, asked.query.criterion_weight)
        else:
            scores = parts[asked.main.space.name] if asked.is_plain else weighted(parts, asked.weights)
        return Ranked(ids, scores, parts).at(ranking(scores, ids))

    def _spread(self, asked: Asked, ranked: Ranked) -> Ranked:
        """The candidates in an order that avoids near-duplicates in the criterion's own space."""
        ids, embeddings = self._resident.embeddings_of(ranked.ids)
        if not ids:
            return ranked
        row = {point: at for at, point in enumerate(ids)}
        ranked = ranked.at([at for at, point in enumerate(ranked.ids) if point in row])
        representations = asked.main.space.represent(embeddings[[row[point] for point in ranked.ids]])
        number = len(ranked.ids) if asked.query.group_by else asked.end
        return ranked.at(most_diverse(ranked.scores, representations, diversity=asked.query.diversity, limit=number))

    def _scanned(self, every: list[Asked]) -> list[list[Hit]]:
        """Plain searches by scan: one pass over the embeddings for each criterion, one read of all hits' payloads."""
        ranked: dict[int, Ranked] = {}
        for key in dict.fromkeys(asked.main.space.key for asked in every):
            shared = [at for at, asked in enumerate(every) if asked.main.space.key == key]
            space = every[shared[0]].main.space
            directions = np.stack([every[at].main.direction for at in shared])
            most = max(every[at].end + len(every[at].target.without) for at in shared)
            found = self._resident.scan().search(directions, space.projection, key=key, limit=most)
            ranked |= {at: _of_pairs(_wanted(pairs, every[at]), space) for at, pairs in zip(shared, found, strict=True)}
        return self._completion.hits_together([(asked, ranked[at]) for at, asked in enumerate(every)])

    def _engine_query(self, asked: Asked) -> VectorQuery:
        query, aim = asked.query, asked.main
        return VectorQuery(
            aim.direction,
            aim.space.vector,
            query.limit,
            query.offset,
            narrowed(query.query_filter, asked.target.without),
            query.with_payload,
            query.score_threshold,
            query.search_params,
        )

    def _finished(self, hits: list[Hit], asked: Asked, candidates: int, started: float, resolved: float) -> Hits:
        seconds = {"query": resolved - started, "search": time.perf_counter() - resolved}
        plan = asked.plan
        return Hits(hits, Plan(plan.strategy, plan.exact, plan.reason, candidates, seconds))


def _of_pairs(found: list[tuple[PointId, float]], space: Space) -> Ranked:
    scores = np.array([score for _, score in found])
    return Ranked([point for point, _ in found], scores, {space.name: scores})


def _wanted(found: list[tuple[PointId, float]], asked: Asked) -> list[tuple[PointId, float]]:
    """Those of the pairs that are hits: no example, not too many, and good enough."""
    without, threshold = asked.target.without, asked.query.score_threshold
    if without:
        found = [pair for pair in found if pair[0] not in without]
    return [pair for pair in found[: asked.end] if threshold is None or pair[1] >= threshold]


def _engine_hits(asked: Asked, points: list[Scored]) -> list[Hit]:
    name = asked.main.space.name
    return [Hit(point.id, point.score, point.payload, {name: point.score}) for point in points]
