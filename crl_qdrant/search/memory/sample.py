"""A sample of a collection that depends on its points alone: not on the store, its shards, or the order of writes."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from typing import Final

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.manifest import RawVector
from crl_qdrant.criteria.sample import id_hash
from crl_qdrant.stores import Store

__all__ = ["SAMPLE", "Sample"]

SAMPLE: Final = 1000
"""Points of a sample."""

_POOL: Final = 100_000  # ids that are looked at: the first by id in a larger collection


class Sample:
    """The points with the 1,000 smallest hashes of their ids; not safe to use from several threads.

    Args:
        store: where the embeddings are.
        raw: their named vector.
    """

    def __init__(self, store: Store, raw: RawVector) -> None:
        self._store = store
        self._raw = raw
        self._points: dict[PointId, tuple[bytes, Float32Array]] | None = None  # hash and embedding
        self._rows: Float32Array | None = None

    def rows(self) -> Float32Array:
        """Unit embeddings [n, d], n <= 1000, in the order of the hashes; the same array until a point changes."""
        if self._points is None:
            self._points = self._read()
            self._rows = None
        if self._rows is None:
            ordered = sorted(self._points.values(), key=lambda point: point[0])
            rows = [row for _, row in ordered]
            self._rows = np.stack(rows) if rows else np.empty((0, self._raw.dimension), dtype=np.float32)
        return self._rows

    def put(self, ids: Sequence[PointId], embeddings: Float32Array) -> None:
        """Points [B, d] that were just written."""
        if self._points is None:
            return
        last = max((digest for digest, _ in self._points.values()), default=b"")
        for point, row in zip(ids, embeddings, strict=True):
            digest = id_hash(point)
            if len(self._points) < SAMPLE or digest <= last:
                self._points[point] = digest, row.copy()
                self._rows = None
        if len(self._points) > SAMPLE:
            kept = nsmallest(SAMPLE, self._points, key=lambda each: self._points[each][0])  # type: ignore[index]
            self._points = {point: self._points[point] for point in kept}

    def remove(self, ids: Sequence[PointId]) -> None:
        """Points that were just removed."""
        if self._points is None:
            return
        for point in self._points.keys() & set(ids):
            if len(self._points) == SAMPLE:  # the next one takes its place, and is not known here
                self.forget()
                return
            del self._points[point]
            self._rows = None

    def forget(self) -> None:
        """Release the sample; it is read again when it is needed."""
        self._points = self._rows = None

    def _read(self) -> dict[PointId, tuple[bytes, Float32Array]]:
        ids: list[PointId] = []
        for page in self._store.scroll_ids():
            ids += page
            if len(ids) >= _POOL:
                break
        digests = {point: id_hash(point) for point in ids[:_POOL]}
        chosen = nsmallest(SAMPLE, digests, key=lambda point: digests[point])
        records = self._store.retrieve(chosen, vector=self._raw.vector, with_payload=False) if chosen else []
        return {
            record.id: (digests[record.id], np.array(record.vector, dtype=np.float32))
            for record in records
            if record.vector
        }
