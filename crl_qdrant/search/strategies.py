"""The three ways to the points nearest in one space: the engine's index, the scan, oversampled candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.query import Query
from crl_qdrant.search.scoring import mean_direction, ranking
from crl_qdrant.search.space import Space
from crl_qdrant.search.target import Target
from crl_qdrant.stores import Store, VectorQuery

__all__ = ["Aim", "among", "narrowed", "nearest"]

Found = list[tuple[PointId, float]]


@dataclass(frozen=True, slots=True)
class Aim:
    """What is looked for in one space.

    Attributes:
        space: where to compare.
        target: what to be like and unlike.
        direction: the representation [r] that points like the target have, unit length; zeros where there is none.
    """

    space: Space
    target: Target
    direction: Float32Array = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", _direction(self.space.represent, self.target))


def nearest(strategy: str, aim: Aim, number: int, query: Query, store: Store, resident: Resident) -> tuple[Found, int]:
    """At most `number` points nearest to what is aimed at, best first, and how many were scored by us."""
    space, direction, without = aim.space, aim.direction, aim.target.without
    if strategy == "rerank":
        candidates = _candidates(aim, number * query.oversample, query, store, resident)
        return _reranked(space, direction, candidates, resident)[:number], len(candidates)
    if strategy == "scan":
        chosen = None if query.query_filter is None else among(query.query_filter, store)
        scan = resident.scan()
        (found,) = scan.search(
            direction[None], space.projection, key=space.key, limit=number, among=chosen, without=without
        )
        return found, len(scan) if chosen is None else len(chosen)
    wanted = VectorQuery(
        direction,
        space.vector,
        number,
        query_filter=narrowed(query.query_filter, without),
        with_payload=False,
        params=query.search_params,
    )
    return [(each.id, each.score) for each in store.query(wanted)], 0


def _direction(represent: Callable[[Float32Array], Float32Array], target: Target) -> Float32Array:
    like = represent(target.like)
    return mean_direction(like, represent(target.unlike) if len(target.unlike) else like[:0])


def _reranked(space: Space, direction: Float32Array, candidates: Sequence[PointId], resident: Resident) -> Found:
    """The candidates that exist, by exact cosine of their representations with a direction [r]; ties by id."""
    ids, embeddings = resident.embeddings_of(candidates)
    scores = (space.represent(embeddings).astype(np.float64) @ direction).clip(-1.0, 1.0) if ids else np.empty(0)
    return [(ids[at], float(scores[at])) for at in ranking(scores, ids)]


def among(query_filter: models.Filter, store: Store) -> list[PointId]:
    """The ids that pass a filter, by the engine."""
    return [each for page in store.scroll_ids(query_filter) for each in page]


def narrowed(query_filter: models.Filter | None, without: Sequence[PointId]) -> models.Filter | None:
    """The filter, less points that are no answer."""
    if not without:
        return query_filter
    own = models.HasIdCondition(has_id=list(without))
    return models.Filter(must=None if query_filter is None else [query_filter], must_not=[own])


def _candidates(aim: Aim, number: int, query: Query, store: Store, resident: Resident) -> list[PointId]:
    """Raw neighbours of the target, and of its tangent: the direction that the criterion adds to the average item's.

    A query on the raw vectors ranks by the unnormalised product with qPPᵀ, which the mean of all items dominates. With
    the mean's direction taken out of qP it finds what differs from the average as the query does.
    """
    space, target = aim.space, aim.target
    raw_vector = space.criteria.manifest.raw.vector
    vectors = [mean_direction(target.like, target.unlike)]
    if space.stored is not None and len(sample := resident.sample()):
        projection = space.stored.projection
        direction = _direction(projection.similarities, target)
        average = mean_direction(projection.similarities(sample), np.empty((0, len(direction)), dtype=np.float32))
        tangent = projection.matrix @ (direction - (direction @ average) * average)
        length = np.linalg.norm(tangent)
        if length > 1e-7:
            vectors.append(np.asarray(tangent / length, dtype=np.float32))
    narrow = narrowed(query.query_filter, target.without)
    answers = store.query_batch(
        [
            VectorQuery(vector, raw_vector, number, query_filter=narrow, with_payload=False, params=query.search_params)
            for vector in vectors
        ]
    )
    return list(dict.fromkeys(point.id for answer in answers for point in answer))
