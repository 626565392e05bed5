"""Answers queries: resolves them, chooses a plan, finds candidates and orders them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import EmbeddingError, StoreError
from crl_qdrant.images import decode
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
from crl_qdrant.search.strategies import direction_of, narrowed, nearest
from crl_qdrant.search.target import resolve, Target, text_embedding
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
        """Many queries' hits: images in one batch, the engine's searches in one round trip, a scan in one pass."""
        started = time.perf_counter()
        every = [self._ask(query) for query in self._embedded(queries)]
        resolved = time.perf_counter()
        answers: dict[int, Hits] = {}
        plain = [at for at, asked in enumerate(every) if asked.is_plain and not asked.needs_candidates]
        if named := [at for at in plain if every[at].plan.strategy == "named"]:
            found = self._store.query_batch([self._engine_query(every[at]) for at in named])
            for at, points in zip(named, found, strict=True):
                answers[at] = self._finished(_engine_hits(every[at], points), every[at], 0, started, resolved)
        passes: dict[str, list[int]] = {}
        for at in plain:
            asked = every[at]
            # a filter, or an example to leave out, is one query's own; all others of a criterion share a pass
            if asked.plan.strategy == "scan" and asked.query.query_filter is None and not asked.target.without:
                passes.setdefault(asked.main.key, []).append(at)
        for shared in passes.values():
            ranked = self._scan_together([every[at] for at in shared])
            for at, each in zip(shared, ranked, strict=True):
                hits = self._completion.hits(every[at], each)
                answers[at] = self._finished(hits, every[at], len(self._resident.scan()), started, resolved)
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
        return self._completion.describe(asked.main, asked.target, number)

    # ------------------------------------------------------------- what is asked

    def _ask(self, query: Query, plan: Plan | None = None) -> Asked:
        spaces = self._spaces(query)
        plan = plan or self._plan(query, spaces)
        target = resolve(query, self._resident, self._encoder, self._criteria.manifest.dimension)
        modifier = text_embedding(query.phrasings, self._encoder) if query.modifier is not None else None
        weights = {name or RAW: weight for name, weight in query.weights.items()}
        asked = Asked(query, target, spaces, weights, modifier, plan)
        for space in spaces.values():
            if not asked.directions[space.name].any():
                raise EmbeddingError(
                    f"the query has no part in the words of criterion {space.name!r}, so nothing is nearest to it"
                    if space.stored is not None and len(target.like) == 1 and not len(target.unlike)
                    else f"what the query is like and unlike cancels out in {space.name!r}, so nothing is nearest to it"
                )
        return asked

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

    def _embedded(self, queries: Sequence[Query]) -> list[Query]:
        """The same queries, their images embedded together."""
        images = {at: query.image for at, query in enumerate(queries) if query.image is not None}
        if not images:
            return list(queries)
        decoded = [decode(image) for image in images.values()]
        rows = dict(zip(images, self._encoder.encode_images(decoded, purpose="search by image"), strict=True))
        return [
            replace(query, image=None, embedding=rows[at]) if at in rows else query for at, query in enumerate(queries)
        ]

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
            target = asked.target
            found, considered = nearest(
                asked.plan.strategy, asked.main, target, number, asked.query, self._store, self._resident
            )
            return _of_pairs(found, asked.main), considered
        raw = Space.of(self._criteria, None)
        sources = [(space, asked.target) for name, space in asked.spaces.items() if asked.weights[name] > 0]
        if not sources:
            # what is unlike in some respect is looked for among what is alike overall
            sources = [(raw, asked.target)]
        if asked.modifier is not None:
            text = (asked.modifier / np.linalg.norm(asked.modifier)).astype(np.float32)
            sources.append((raw, replace(asked.target, like=text[None], unlike=asked.target.unlike[:0])))
        plans = [choose(space, asked.query, self._resident) for space, _ in sources]
        if all(plan.strategy == "named" for plan in plans):
            return self._rescored(asked, sources, number)
        candidates: dict[PointId, None] = {}
        for plan, (space, target) in zip(plans, sources, strict=True):
            found, _ = nearest(plan.strategy, space, target, number, asked.query, self._store, self._resident)
            candidates |= dict.fromkeys(point for point, _ in found)
        return self._scored(asked, list(candidates)), len(candidates)

    def _rescored(self, asked: Asked, sources: list[tuple[Space, Target]], number: int) -> tuple[Ranked, int]:
        """The candidates by scores that the engine computes, from the named vectors: no embedding leaves it."""
        query, raw = asked.query, Space.of(self._criteria, None)
        narrow = narrowed(query.query_filter, asked.target.without)
        wanted = [
            VectorQuery(
                direction_of(space, target), space.vector, number, query_filter=narrow, params=query.search_params
            )
            for space, target in sources
        ]
        by = [(asked.directions[name], space.vector) for name, space in asked.spaces.items()]
        if asked.modifier is not None:
            by.append((asked.modifier, raw.vector))
        found = self._store.rescore(wanted, by)
        # the engine's index may miss a point in one space; then it is scored from its embedding
        ids = list(dict.fromkeys(point for scores in found for point in scores))
        if any(len(scores) < len(ids) for scores in found):
            return self._scored(asked, ids), len(ids)
        parts = {
            name: np.array([scores[point] for point in ids])
            for name, scores in zip([*asked.spaces, _MODIFIER], found, strict=False)
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
            name: space.represent(embeddings).astype(np.float64) @ asked.directions[name]
            for name, space in asked.spaces.items()
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
            scores = parts[asked.main.name] if asked.is_plain else weighted(parts, asked.weights)
        return Ranked(ids, scores, parts).at(ranking(scores, ids))

    def _spread(self, asked: Asked, ranked: Ranked) -> Ranked:
        """The candidates in an order that avoids near-duplicates in the criterion's own space."""
        ids, embeddings = self._resident.embeddings_of(ranked.ids)
        if not ids:
            return ranked
        row = {point: at for at, point in enumerate(ids)}
        ranked = ranked.at([at for at, point in enumerate(ranked.ids) if point in row])
        representations = asked.main.represent(embeddings[[row[point] for point in ranked.ids]])
        number = len(ranked.ids) if asked.query.group_by else asked.end
        return ranked.at(most_diverse(ranked.scores, representations, diversity=asked.query.diversity, limit=number))

    def _scan_together(self, every: list[Asked]) -> list[Ranked]:
        space = every[0].main
        directions = np.stack([asked.directions[space.name] for asked in every])
        most = max(asked.end for asked in every)
        found = self._resident.scan().search(directions, space.projection, key=space.key, limit=most)
        answers = []
        for asked, pairs in zip(every, found, strict=True):
            least = -np.inf if asked.query.score_threshold is None else asked.query.score_threshold
            answers.append(_of_pairs([pair for pair in pairs[: asked.end] if pair[1] >= least], space))
        return answers

    def _engine_query(self, asked: Asked) -> VectorQuery:
        query, space = asked.query, asked.main
        return VectorQuery(
            asked.directions[space.name],
            space.vector,
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


def _engine_hits(asked: Asked, points: list[Scored]) -> list[Hit]:
    name = asked.main.name
    return [Hit(point.id, point.score, point.payload, {name: point.score}) for point in points]
