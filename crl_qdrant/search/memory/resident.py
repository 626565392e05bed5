"""The collection's embeddings in memory: loaded when a scan first needs them, kept in step with writes, bounded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.manifest import RawVector
from crl_qdrant.stores import Store

if TYPE_CHECKING:
    from crl_qdrant.search.memory.scan import Scan

__all__ = ["Resident"]

_SAMPLE = 1000


class Resident:
    """What of a collection is held outside its store; safe to use from several threads.

    Args:
        store: where the embeddings are.
        raw: their named vector.
        device: "auto", "cpu" or "cuda…": where they are held.
        scan_memory: bytes that the raw embeddings may take.
    """

    def __init__(self, store: Store, raw: RawVector, device: str, scan_memory: int) -> None:
        self._store = store
        self._raw = raw
        self._device = device
        self.scan_memory = scan_memory
        self._scan: Scan | None = None
        self._sample: Float32Array | None = None
        self._sampled: frozenset[PointId] = frozenset()
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        """Whether the embeddings are in memory."""
        return self._scan is not None

    def embeddings_of(self, ids: Sequence[PointId]) -> tuple[list[PointId], Float32Array]:
        """Those of the points that have a raw embedding, and their embeddings [n, d], in no particular order."""
        found = self._store.retrieve(ids, vector=self._raw.vector, with_payload=False)
        records = [record for record in found if record.vector]
        return [record.id for record in records], np.array([record.vector for record in records], dtype=np.float32)

    def bytes_needed(self) -> int:
        """What the raw embeddings take in half precision."""
        return self._bytes_of(self._store.count())

    def scan(self) -> Scan:
        """The scan over all embeddings, read from the store the first time."""
        from crl_qdrant.common.device import choose_device
        from crl_qdrant.search.memory.scan import Scan

        with self._lock:  # a batch written meanwhile is put in after the load, so the scan ends up with it
            if self._scan is None:
                scan = Scan(self._raw.dimension, choose_device(self._device))
                # small pages: as lists of Python's floats they take sixteen times what they take here
                for ids, embeddings in self._store.scroll(vector=self._raw.vector, batch_size=256):
                    scan.put(ids, embeddings)
                self._scan = scan
            return self._scan

    def sample(self) -> Float32Array:
        """Some of the collection's unit embeddings [n, d], n <= 1000, by which its average item is known."""
        with self._lock:
            if self._sample is None:
                pages = self._store.scroll(vector=self._raw.vector, batch_size=_SAMPLE)
                nothing = list[PointId](), np.empty((0, self._raw.dimension), dtype=np.float32)
                ids, self._sample = next(pages, nothing)
                self._sampled = frozenset(ids)
            return self._sample

    def put(self, ids: Sequence[PointId], embeddings: Float32Array) -> None:
        """Points [B, d] that were just written."""
        with self._lock:
            # a small collection's average moves with every batch
            if len(self._sampled) < _SAMPLE or not self._sampled.isdisjoint(ids):
                self._sample = None
            if self._scan is not None:
                self._scan.put(ids, embeddings)
                if self._bytes_of(len(self._scan)) > self.scan_memory:
                    self._scan = None

    def remove(self, ids: Sequence[PointId]) -> None:
        """Points that were just removed."""
        with self._lock:
            if not self._sampled.isdisjoint(ids):
                self._sample = None
            if self._scan is not None:
                self._scan.remove(ids)

    def forget(self) -> None:
        """Let go of everything; it is read again when it is needed."""
        with self._lock:
            self._scan = self._sample = None

    def _bytes_of(self, points: int) -> int:
        return points * self._raw.dimension * 2  # N·d·2
