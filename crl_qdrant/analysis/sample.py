"""Points drawn at random from a collection."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.criteria.manifest import RawVector
from crl_qdrant.stores import Store, without_value, WithPayload

__all__ = ["Sample", "draw"]

_AT_ONCE: Final = 1000


class Sample(NamedTuple):
    """n points: their ids, unit embeddings [n, d], and payloads."""

    ids: list[PointId]
    embeddings: Float32Array
    payloads: list[Payload]


def draw(
    store: Store,
    raw: RawVector,
    number: int,
    *,
    seed: int,
    having: str | None = None,
    with_payload: WithPayload = False,
) -> Sample:
    """Points that have an embedding, at most `number`, each as likely as any other; the same for the same seed.

    Args:
        store: has the points.
        raw: the raw vectors.
        number: points, at most.
        seed: of the random choice.
        having: a payload field in which they must have a value.
        with_payload: as in a search.
    """
    conditions = models.Filter(must=models.HasVectorCondition(has_vector=raw.vector))
    if having is not None:
        conditions.must_not = without_value(having)
    ids = [point for page in store.scroll_ids(conditions) for point in page]
    if len(ids) > number:
        chosen = np.random.default_rng(seed).choice(len(ids), number, replace=False)
        ids = [ids[at] for at in np.sort(chosen)]
    records = [
        record
        for start in range(0, len(ids), _AT_ONCE)
        for record in store.retrieve(ids[start : start + _AT_ONCE], vector=raw.vector, with_payload=with_payload)
    ]
    # in the order of the draw, whatever order the store answers in; points removed meanwhile are left out
    found = {record.id: record for record in records if record.vector is not None}
    kept = [found[point] for point in ids if point in found]
    rows = np.array([record.vector for record in kept], dtype=np.float32).reshape(len(kept), raw.dimension)
    return Sample([record.id for record in kept], rows, [record.payload or {} for record in kept])
