"""The collection's embeddings in memory: loaded when a scan first needs them, kept in step with writes, bounded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, TYPE_CHECKING

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.manifest import RawVector
from crl_qdrant.criteria.space import Space
from crl_qdrant.search.memory.sample import Sample
from crl_qdrant.stores import Store

if TYPE_CHECKING:
    from crl_qdrant.search.memory.scan import Scan

__all__ = ["Resident"]

_AT_ONCE: Final = 1000  # embeddings read in one call
_SPACES: Final = 8  # whose representations of the sample are kept


class Resident:
    """The part of a collection that is held outside its store; safe to use from several threads.

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
        self._sample = Sample(store, raw)
        self._in_spaces: dict[str, tuple[Float32Array, Float32Array]] = {}  # by key: the sample, its representations
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        """Whether the embeddings are in memory."""
        return self._scan is not None

    def embeddings_of(self, ids: Sequence[PointId]) -> tuple[list[PointId], Float32Array]:
        """The points that have a raw embedding, and their embeddings [n, d], in no particular order."""
        records = [
            record
            for start in range(0, len(ids), _AT_ONCE)
            for record in self._store.retrieve(
                ids[start : start + _AT_ONCE], vector=self._raw.vector, with_payload=False
            )
            if record.vector
        ]
        rows = np.array([record.vector for record in records], dtype=np.float32).reshape(-1, self._raw.dimension)
        return [record.id for record in records], rows

    def bytes_needed(self) -> int:
        """The size of the raw embeddings in half precision."""
        return self._bytes_of(self._store.count())

    def scan(self) -> Scan:
        """The scan over all embeddings, read from the store the first time."""
        from crl_qdrant.search.memory.engine import make_engine
        from crl_qdrant.search.memory.scan import Scan

        with self._lock:  # a batch written meanwhile is put in after the load, so the scan ends up with it
            if self._scan is None:
                scan = Scan(self._raw.dimension, make_engine(self._device))
                # small pages: as lists of Python's floats they take sixteen times what they take here
                for ids, embeddings in self._store.scroll(vector=self._raw.vector, batch_size=256):
                    scan.put(ids, embeddings)
                self._scan = scan
            return self._scan

    def sample(self) -> Float32Array:
        """Some of the collection's unit embeddings [n, d], n <= 1000: the same for the same points on every store."""
        with self._lock:
            return self._sample.rows()

    def sample_in(self, space: Space) -> Float32Array:
        """The sample's representations [n, r] in a space."""
        sample = self.sample()
        known = self._in_spaces.get(space.key)
        if known is None or known[0] is not sample:
            known = sample, space.represent_few(sample) if len(sample) else sample
            with self._lock:
                self._in_spaces.pop(space.key, None)
                while len(self._in_spaces) >= _SPACES:
                    self._in_spaces.pop(next(iter(self._in_spaces)))
                self._in_spaces[space.key] = known
        return known[1]

    def put(self, ids: Sequence[PointId], embeddings: Float32Array) -> None:
        """Points [B, d] that were just written."""
        with self._lock:
            self._sample.put(ids, embeddings)
            if self._scan is not None:
                self._scan.put(ids, embeddings)
                if self._bytes_of(len(self._scan)) > self.scan_memory:
                    self._scan = None

    def remove(self, ids: Sequence[PointId]) -> None:
        """Points that were just removed."""
        with self._lock:
            self._sample.remove(ids)
            if self._scan is not None:
                self._scan.remove(ids)

    def forget(self) -> None:
        """Release everything; it is read again when it is needed."""
        with self._lock:
            self._scan = None
            self._sample.forget()
            self._in_spaces.clear()

    def _bytes_of(self, points: int) -> int:
        return points * self._raw.dimension * 2  # N·d·2
