"""Answers queries: has them resolved, finds candidates and orders them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import StoreError
from crl_qdrant.search.assemble import Assembly
from crl_qdrant.search.candidates import Candidates
from crl_qdrant.search.closeness import Closeness
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.nearest import exclude_ids, nearest_by_scan
from crl_qdrant.search.query import Query
from crl_qdrant.search.request import Ranked, Request
from crl_qdrant.search.resolve import Resolver
from crl_qdrant.search.results import Hit, Hits, Plan
from crl_qdrant.search.scoring import id_key
from crl_qdrant.stores import Scored, Store, VectorQuery

__all__ = ["Searcher"]


class Searcher:
    """The searches of one collection; `CRLCollection` says what each does and raises."""

    def __init__(self, store: Store, criteria: Criteria, encoder: BoundEncoder, resident: Resident) -> None:
        self._store = store
        self._criteria = criteria
        self._resident = resident
        self._resolver = Resolver(criteria, encoder, resident)
        closeness = Closeness(resident)
        self._candidates = Candidates(store, criteria, resident, closeness)
        self._assembly = Assembly(store, resident, closeness)

    def run(self, query: Query) -> Hits:
        """One query's hits."""
        started = time.perf_counter()
        request = self._resolver.request(query)
        try:
            return self._answer(request, started)
        except StoreError:
            # another thread or process may have dropped the criterion's vector in between: then there is another plan
            self._criteria.refresh()
            again = self._resolver.request(query, like=request.like if query.like is None else None)
            if again.plan == request.plan:
                raise
            return self._answer(again, started)

    def run_batch(self, queries: Sequence[Query]) -> list[Hits]:
        """Many queries' hits: embedded together, the engine's searches in one round trip, a scan in one pass."""
        started = time.perf_counter()
        embedded = self._resolver.embed_together(queries)
        every = self._requests(queries, embedded)
        try:
            return self._answer_together(every, started)
        except StoreError:  # as for one query
            self._criteria.refresh()
            again = self._requests(queries, embedded)
            if [request.plan for request in again] == [request.plan for request in every]:
                raise
            return self._answer_together(again, started)

    def plan(self, query: Query) -> Plan:
        """Plan a query without answering it."""
        return self._resolver.plan(query)

    def rerank(self, query: Query, ids: Sequence[PointId]) -> Hits:
        """These points, in the query's order; those that are not in the collection are left out."""
        started = time.perf_counter()
        request = self._resolver.request(query, plan=Plan("rerank", True, "the candidates were given"))
        resolved = time.perf_counter()
        if query.expand:
            request = self._candidates.expanded(request, ids)
        ranked, considered = self._candidates.given(request, ids)
        return _finish(self._assembly.hits(request, ranked), request, considered, started, resolved)

    def describe(self, query: Query, number: int) -> list[tuple[str, float]]:
        """The words of the query's criterion that its examples are more of than the collection's average item."""
        return self._assembly.describe(self._resolver.request(query), number)

    def _requests(self, queries: Sequence[Query], embedded: Sequence[Float32Array | None]) -> list[Request]:
        return [self._resolver.request(query, like=like) for query, like in zip(queries, embedded, strict=True)]

    # ------------------------------------------------------------------- answers

    def _answer(self, request: Request, started: float) -> Hits:
        resolved = time.perf_counter()
        if request.query.expand:
            request = self._candidates.expanded(request)
        if _is_direct(request):
            points = self._store.query(_direct_query(request))
            if _is_whole(request, points):
                return _finish(_direct_hits(request, points), request, 0, started, resolved)
        ranked, considered = self._candidates.ranked(request)
        return _finish(self._assembly.hits(request, ranked), request, considered, started, resolved)

    def _answer_together(self, every: list[Request], started: float) -> list[Hits]:
        resolved = time.perf_counter()
        answers: dict[int, Hits] = {}
        if direct := [at for at, request in enumerate(every) if _is_direct(request) and not request.query.expand]:
            found = self._store.query_batch([_direct_query(every[at]) for at in direct])
            for at, points in zip(direct, found, strict=True):
                if _is_whole(every[at], points):
                    answers[at] = _finish(_direct_hits(every[at], points), every[at], 0, started, resolved)
        if scanned := [at for at, request in enumerate(every) if _shares_a_pass(request)]:
            number = len(self._resident.scan())
            for at, hits in zip(scanned, self._scanned([every[at] for at in scanned]), strict=True):
                answers[at] = _finish(hits, every[at], number, started, resolved)
        return [
            answers[at] if at in answers else self._answer(request, time.perf_counter())
            for at, request in enumerate(every)
        ]

    def _scanned(self, every: list[Request]) -> list[list[Hit]]:
        """Plain searches by scan: one pass over the embeddings for each criterion, one read of all hits' payloads."""
        ranked: dict[int, Ranked] = {}
        for key in dict.fromkeys(request.main.space.key for request in every):
            shared = [at for at, request in enumerate(every) if request.main.space.key == key]
            space = every[shared[0]].main.space
            terms = [(space, np.stack([every[at].main.direction for at in shared]))]
            most = max(every[at].end + len(every[at].excluded) for at in shared)
            found = nearest_by_scan([every[at] for at in shared], terms, most, self._resident, None)
            for at, pairs in zip(shared, found, strict=True):
                kept = [pair for pair in pairs if pair[0] not in every[at].excluded]
                ranked[at] = self._candidates.cut(every[at], Ranked.of_one(kept[: every[at].end], space.name))
        return self._assembly.hits_together([(request, ranked[at]) for at, request in enumerate(every)])


def _asks_for_more(request: Request) -> bool:
    """Whether more is to be done than to find the nearest."""
    query = request.query
    return bool(query.diversity or query.group_by or query.explain or query.min_closeness is not None)


def _is_direct(request: Request) -> bool:
    """Whether the engine's answer, with its payloads, is the answer."""
    return (
        request.plan.strategy == "named"
        and request.modifier is None
        and len(request.goals) == 1
        and request.goals[0].weight > 0
        and request.query.offset == 0
        and request.query.score_threshold is None
        and not _asks_for_more(request)
    )


def _direct_query(request: Request) -> VectorQuery:
    """The engine's search for one point more than asked for, which shows whether the last scores are equal."""
    goal, query = request.goals[0], request.query
    query_filter = query.query_filter
    if request.excluded:
        query_filter = exclude_ids(query_filter, request.excluded)
    return VectorQuery(
        vector=goal.direction,
        using=goal.space.vector,
        limit=query.limit + 1,
        query_filter=query_filter,
        with_payload=query.with_payload,
        params=query.search_params,
    )


def _is_whole(request: Request, points: list[Scored]) -> bool:
    """Whether the last hit's score is not also that of a point behind it."""
    limit = request.query.limit
    return len(points) <= limit or min(points[limit].score, 1.0) < min(points[limit - 1].score, 1.0)


def _direct_hits(request: Request, points: list[Scored]) -> list[Hit]:
    name = request.goals[0].space.name
    hits = []
    for point in points[: request.query.limit]:
        score = max(-1.0, min(point.score, 1.0))  # the engine rounds beyond
        hits.append(Hit(point.id, score, point.payload, {name: score}))
    if any(first.score == second.score for first, second in pairwise(hits)):
        hits.sort(key=lambda hit: (-hit.score, id_key(hit.id)))
    return hits


def _finish(hits: list[Hit], request: Request, candidates: int, started: float, resolved: float) -> Hits:
    seconds = {"query": resolved - started, "search": time.perf_counter() - resolved}
    plan = request.plan  # not by `replace`, which a search would notice
    finished = Hits(hits)
    finished.plan = Plan(plan.strategy, plan.exact, plan.reason, candidates, seconds)
    return finished


def _shares_a_pass(request: Request) -> bool:
    """Whether a scan answers it together with others: a filter is one query's own."""
    query = request.query
    return (
        request.is_plain
        and request.plan.strategy == "scan"
        and query.query_filter is None
        and not query.expand
        and not _asks_for_more(request)
    )
