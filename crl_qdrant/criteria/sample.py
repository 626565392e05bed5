"""A fixed sample of a collection's images, which depends on nothing but the ids that are there."""

from __future__ import annotations

import hashlib
from heapq import nsmallest
from typing import Final

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.manifest import RawVector
from crl_qdrant.stores import Store

__all__ = ["has_images", "id_hash", "sample_images"]

_MOST: Final = 10_000
_AT_ONCE: Final = 1000


def id_hash(point: PointId) -> bytes:
    """Eight bytes that order ids like a shuffle, the same in every process."""
    return hashlib.blake2b(str(point).encode(), digest_size=8).digest()


def has_images(store: Store, raw: RawVector, number: int) -> bool:
    """Whether a collection holds at least so many images."""
    return store.count(_having(raw)) >= number


def sample_images(store: Store, raw: RawVector) -> Float32Array:
    """Unit embeddings [n, d] of at most 10,000 points, those with the smallest hashes of their ids, in that order.

    Reads all ids: a second for a million points.
    """
    ids = (point for page in store.scroll_ids(_having(raw)) for point in page)
    chosen = nsmallest(_MOST, ids, key=id_hash)
    rows: dict[PointId, Float32Array] = {}
    for start in range(0, len(chosen), _AT_ONCE):
        records = store.retrieve(chosen[start : start + _AT_ONCE], vector=raw.vector, with_payload=False)
        rows |= {each.id: np.array(each.vector, dtype=np.float32) for each in records if each.vector is not None}
    kept = [rows[point] for point in chosen if point in rows]  # some may have been removed meanwhile
    return np.stack(kept) if kept else np.empty((0, raw.dimension), dtype=np.float32)


def _having(raw: RawVector) -> models.Filter:
    return models.Filter(must=models.HasVectorCondition(has_vector=raw.vector))
