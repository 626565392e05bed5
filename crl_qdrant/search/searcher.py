"""Answers queries: resolves them, chooses a plan, finds candidates and orders them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import EmbeddingError, StoreError
from crl_qdrant.search.assemble import Completion
from crl_qdrant.search.candidates import Candidates, ranked_pairs
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.plan import choose
from crl_qdrant.search.query import Query
from crl_qdrant.search.request import Asked, Ranked
from crl_qdrant.search.results import Hit, Hits, Plan
from crl_qdrant.search.space import RAW, Space
from crl_qdrant.search.strategies import Aim, narrowed
from crl_qdrant.search.target import embedded_together, resolve, text_embedding
from crl_qdrant.stores import Scored, Store, VectorQuery

__all__ = ["Searcher"]


class Searcher:
    """The searches of one collection; `CRLCollection` says what each does and raises."""

    def __init__(self, store: Store, criteria: Criteria, encoder: BoundEncoder, resident: Resident) -> None:
        self._store = store
        self._criteria = criteria
        self._encoder = encoder
        self._resident = resident
        self._completion = Completion(store, resident)
        self._candidates = Candidates(store, criteria, resident, self._completion)

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
        ranked, considered = self._candidates.given(asked, ids)
        return self._finished(self._completion.hits(asked, ranked), asked, considered, started, resolved)

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
        if modifier is not None and not modifier.any():
            raise EmbeddingError(f"the modifier's phrasings cancel each other out: {query.modifier!r:.99}")
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
        if len(plans) == 1 and query.modifier is None and max(query.weights.values()) > 0:
            return plans[0]
        # scores are exact, but only those of the candidates that the single searches bring
        strategies = dict.fromkeys(plan.strategy for plan in plans)
        reasons = dict.fromkeys(plan.reason for plan in plans)
        return Plan("+".join(strategies), False, "; ".join(reasons))

    # ------------------------------------------------------------------- answers

    def _answer(self, asked: Asked, started: float) -> Hits:
        resolved = time.perf_counter()
        if asked.is_plain and asked.plan.strategy == "named" and not asked.needs_candidates:
            hits = _engine_hits(asked, self._store.query(self._engine_query(asked)))
            return self._finished(hits, asked, 0, started, resolved)
        ranked, considered = self._candidates.ranked(asked)
        return self._finished(self._completion.hits(asked, ranked), asked, considered, started, resolved)

    def _scanned(self, every: list[Asked]) -> list[list[Hit]]:
        """Plain searches by scan: one pass over the embeddings for each criterion, one read of all hits' payloads."""
        ranked: dict[int, Ranked] = {}
        for key in dict.fromkeys(asked.main.space.key for asked in every):
            shared = [at for at, asked in enumerate(every) if asked.main.space.key == key]
            space = every[shared[0]].main.space
            directions = np.stack([every[at].main.direction for at in shared])
            most = max(every[at].end + len(every[at].target.without) for at in shared)
            found = self._resident.scan().search(directions, space.projection, key=key, limit=most)
            ranked |= {
                at: ranked_pairs(_wanted(pairs, every[at]), space) for at, pairs in zip(shared, found, strict=True)
            }
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
        plan = asked.plan  # not by `replace`, which a search would notice
        return Hits(hits, Plan(plan.strategy, plan.exact, plan.reason, candidates, seconds))


def _wanted(found: list[tuple[PointId, float]], asked: Asked) -> list[tuple[PointId, float]]:
    """Those of the pairs that are hits: no example, not too many, and good enough."""
    without, threshold = asked.target.without, asked.query.score_threshold
    if without:
        found = [pair for pair in found if pair[0] not in without]
    return [pair for pair in found[: asked.end] if threshold is None or pair[1] >= threshold]


def _engine_hits(asked: Asked, points: list[Scored]) -> list[Hit]:
    name = asked.main.space.name
    hits = []
    for point in points:
        score = max(-1.0, min(point.score, 1.0))  # the engine rounds beyond
        hits.append(Hit(point.id, score, point.payload, {name: score}))
    return hits
