"""The three ways to the points nearest in one space: the engine's index, the scan, oversampled candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.search.exact import search_exactly
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.request import Goal, Request
from crl_qdrant.search.scoring import id_key, mean_direction, ranking
from crl_qdrant.search.standardizing import parts_of
from crl_qdrant.stores import Store, VectorQuery

__all__ = ["among", "exclude_ids", "goal_query", "nearest", "nearest_by_scan", "rerank_candidates"]

Found = list[tuple[PointId, float]]

_MOST_EQUAL: Final = 10_000
"""Points of equal score that are read to put them in order; of more, the engine chooses some."""


def nearest(request: Request, number: int, store: Store, resident: Resident, raw_vector: str) -> tuple[Found, int]:
    """At most `number` points of a plain request, best first and equal ones by id, and how many were scored by us."""
    if request.plan.strategy == "named":
        return nearest_by_index(request, request.main, number, store), 0
    if request.plan.strategy == "rerank":
        candidates = rerank_candidates(
            request, request.main, number * request.query.oversample, store, resident, raw_vector=raw_vector
        )
        ids, embeddings = resident.embeddings_of(candidates)
        (scores,) = parts_of(request, embeddings).values()
        return [(ids[at], float(scores[at])) for at in ranking(scores, ids)[:number]], len(candidates)
    chosen = None if request.query.query_filter is None else among(request.query.query_filter, store)
    terms = [(request.main.space, request.main.direction[None])]
    found = nearest_by_scan([request], terms, number, resident, chosen)[0]
    return found, len(resident.scan()) if chosen is None else len(chosen)


def nearest_by_index(request: Request, goal: Goal, number: int, store: Store) -> Found:
    """The engine's nearest points; the group of equal scores that reaches over the last one is read to its end."""
    limit = number + 1
    while True:
        found = [(each.id, min(each.score, 1.0)) for each in store.query(goal_query(request, goal, limit))]
        complete = len(found) < limit or found[-1][1] < found[number - 1][1]
        if complete or limit > number + _MOST_EQUAL:
            break
        limit = number + 4 * (limit - number) + 60
    found.sort(key=lambda pair: (-pair[1], id_key(pair[0])))
    return [(point, max(-1.0, score)) for point, score in found[:number]]


def nearest_by_scan(
    requests: Sequence[Request],
    terms: Sequence[tuple[object, Float32Array]],
    number: int,
    resident: Resident,
    chosen: Sequence[PointId] | None,
) -> list[Found]:
    """Plain requests of one space answered by one pass."""

    def score(query: int, embeddings: Float32Array) -> np.ndarray:
        (scores,) = parts_of(requests[query], embeddings).values()
        return scores

    without = requests[0].excluded if len(requests) == 1 else ()
    return search_exactly(resident, terms, score, limit=number, among=chosen, without=without)  # type: ignore[arg-type]


def goal_query(request: Request, goal: Goal, limit: int, *, with_payload: bool = False) -> VectorQuery:
    """The engine's search for a goal, without payloads unless the request's are wanted."""
    query = request.query
    return VectorQuery(
        goal.direction,
        goal.space.vector,
        limit=limit,
        query_filter=exclude_ids(query.query_filter, request.excluded) if request.excluded else query.query_filter,
        with_payload=query.with_payload if with_payload else False,
        params=query.search_params,
    )


def among(query_filter: models.Filter, store: Store) -> list[PointId]:
    """The ids that pass a filter, by the engine."""
    return [each for page in store.scroll_ids(query_filter) for each in page]


def exclude_ids(query_filter: models.Filter | None, ids: Sequence[PointId]) -> models.Filter | None:
    """The filter, less these points."""
    if not ids:
        return query_filter
    own = models.HasIdCondition(has_id=list(ids))
    return models.Filter(must=None if query_filter is None else [query_filter], must_not=[own])


def rerank_candidates(
    request: Request, goal: Goal, number: int, store: Store, resident: Resident, *, raw_vector: str
) -> list[PointId]:
    """Raw neighbours of the examples, and of their tangent: the direction that tells them from the average item.

    A query on the raw vectors ranks by the unnormalised product with qPPᵀ, which the mean of all items dominates. With
    the mean's direction taken out of qP it finds what differs from the average as the query does.
    """
    vectors = [mean_direction(request.like, request.unlike)]
    projection = goal.space.projection
    if projection is not None and len(sample := resident.sample()):
        similar = projection.similarities(request.like)
        direction = mean_direction(similar, projection.similarities(request.unlike))
        average = mean_direction(projection.similarities(sample), similar[:0])
        tangent = projection.matrix @ (direction - (direction @ average) * average)
        length = np.linalg.norm(tangent)
        if length > 1e-7:
            vectors.append(np.asarray(tangent / length, dtype=np.float32))
    narrow = exclude_ids(request.query.query_filter, request.excluded)
    answers = store.query_batch(
        [
            VectorQuery(vector, raw_vector, limit=number, query_filter=narrow, params=request.query.search_params)
            for vector in vectors
        ]
    )
    return list(dict.fromkeys(point.id for answer in answers for point in answer))
