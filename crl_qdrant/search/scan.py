"""Exact conditional search without a named vector: raw embeddings held on the device, projected once per criterion.

A dot product on the raw vectors cannot rank by conditional cosine (each candidate has its own norm under the
projection), so the scan looks at every embedding. N embeddings take N·d·2 bytes, each criterion in use N·r·4 more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import torch
from torch import Tensor

from crl_qdrant.embeddings import Float32Array
from crl_qdrant.points import PointId
from crl_qdrant.projection import conditional_representation, cosine_similarity, top_k

__all__ = ["Scan"]

_CHUNK: Final = 16_384
_CRITERIA_HELD: Final = 8


class Scan:
    """The raw embeddings of a collection on one device, in half precision; safe to use from several threads.

    Args:
        dimension: d of the embeddings.
        device: where they are held and scored.
    """

    def __init__(self, dimension: int, device: torch.device) -> None:
        self._dimension = dimension
        self._device = device
        self._lock = threading.RLock()
        self._row_of: dict[PointId, int] = {}
        self._id_of: list[PointId | None] = []  # None: a row whose point was removed, free for the next one
        self._free: list[int] = []
        self._raw: list[Tensor] = []  # chunks [_CHUNK, d], float16
        self._projected: OrderedDict[str, tuple[Tensor, list[Tensor]]] = OrderedDict()  # P and chunks [_CHUNK, r]

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, ids: Sequence[PointId], embeddings: Float32Array) -> None:
        """Add points, or replace those that are there: unit rows [B, d]."""
        with self._lock:
            rows = torch.tensor([self._row(point_id) for point_id in ids], device=self._device)
            fresh = torch.from_numpy(embeddings).to(self._device, torch.float16)
            self._write(self._raw, rows, fresh)
            for projection, chunks in self._projected.values():
                self._write(chunks, rows, conditional_representation(fresh, projection))

    def remove(self, ids: Iterable[PointId]) -> None:
        """Take points out; ids that are not there are no error."""
        with self._lock:
            for point_id in ids:
                row = self._row_of.pop(point_id, None)
                if row is not None:
                    self._id_of[row] = None
                    self._free.append(row)

    def search(
        self,
        query: Float32Array,
        projection: Tensor,
        *,
        key: str,
        limit: int,
        among: Iterable[PointId] | None = None,
        without: PointId | None = None,
    ) -> list[tuple[PointId, float]]:
        """The points whose conditional representations are nearest to the query's, best first.

        Args:
            query: the query's conditional representation [r], unit length.
            projection: P, float32 [d, r].
            key: the criterion's fingerprint, under which its projected embeddings are kept.
            limit: how many points to find.
            among: ids to choose from; None for all.
            without: an id to leave out.

        Returns:
            At most `limit` pairs of id and exact conditional cosine.
        """
        with self._lock:
            chunks = self._conditional(key, projection)
            if not self._row_of:
                return []
            wanted = torch.from_numpy(query).to(self._device)
            scores = torch.cat([cosine_similarity(wanted, chunk) for chunk in chunks])[: len(self._id_of)]
            barred = list(self._free)
            if without in self._row_of:
                barred.append(self._row_of[without])
            if among is not None:
                rows = torch.tensor([self._row_of[i] for i in among if i in self._row_of], dtype=torch.long)
                chosen = torch.full_like(scores, -torch.inf)
                rows = rows.to(self._device)
                chosen[rows] = scores[rows]
                scores = chosen
            scores[torch.tensor(barred, dtype=torch.long, device=self._device)] = -torch.inf
            values, positions = top_k(scores, limit)
            found = [(self._id_of[row], score) for row, score in zip(positions.tolist(), values.tolist(), strict=True)]
            return [(point_id, score) for point_id, score in found if point_id is not None and score >= -1.0]

    def _row(self, point_id: PointId) -> int:
        row = self._row_of.get(point_id)
        if row is None:
            row = self._free.pop() if self._free else len(self._id_of)
            if row == len(self._id_of):
                self._id_of.append(None)
                if row % _CHUNK == 0:
                    self._raw.append(self._empty(self._dimension, torch.float16))
                    for projection, chunks in self._projected.values():
                        chunks.append(self._empty(projection.shape[1], torch.float32))
            self._row_of[point_id] = row
            self._id_of[row] = point_id
        return row

    def _empty(self, columns: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(_CHUNK, columns, dtype=dtype, device=self._device)

    def _conditional(self, key: str, projection: Tensor) -> list[Tensor]:
        if key not in self._projected:
            chunks = [conditional_representation(chunk, projection) for chunk in self._raw]
            self._projected[key] = (projection, chunks)
            if len(self._projected) > _CRITERIA_HELD:
                self._projected.popitem(last=False)
        self._projected.move_to_end(key)
        return self._projected[key][1]

    @staticmethod
    def _write(chunks: list[Tensor], rows: Tensor, values: Tensor) -> None:
        # several chunks are touched only where a batch crosses a border
        for chunk in {row // _CHUNK for row in rows.tolist()}:
            inside = (rows >= chunk * _CHUNK) & (rows < (chunk + 1) * _CHUNK)
            chunks[chunk][rows[inside] - chunk * _CHUNK] = values[inside]
