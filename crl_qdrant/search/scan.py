"""Exact conditional search without a named vector: raw embeddings held on the device, projected once per criterion.

A dot product on the raw vectors cannot rank by conditional cosine (each candidate has its own norm under the
projection), so the scan looks at every embedding. N embeddings take N·d·2 bytes, each criterion in use N·r·4 more and
their ids some 30 bytes each.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from crl_qdrant.embeddings import Float32Array
from crl_qdrant.points import PointId
from crl_qdrant.projection import conditional_representation, cosine_similarity, Projection, top_k
from crl_qdrant.search.rows import Rows

__all__ = ["Scan"]

_CHUNK: Final = 4_096
_CRITERIA_HELD: Final = 8
_QUERIES_AT_ONCE: Final = 64
_BLOCK: Final = 128


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
        self._rows = Rows()
        self._raw: list[Tensor] = []  # chunks [_CHUNK, d], float16
        self._projected: OrderedDict[str, tuple[Projection, list[Tensor]]] = OrderedDict()  # and chunks [_CHUNK, r]

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, ids: Sequence[PointId], embeddings: Float32Array) -> None:
        """Add B different points, or replace those that are there: unit rows [B, d]."""
        with self._lock:
            rows = torch.from_numpy(self._rows.put(ids)).to(self._device)
            self._grow()
            fresh = torch.from_numpy(embeddings).to(self._device, torch.float16)
            self._write(self._raw, rows, fresh)
            for projection, chunks in self._projected.values():
                self._write(chunks, rows, conditional_representation(fresh, projection))

    def remove(self, ids: Sequence[PointId]) -> None:
        """Take points out; ids that are not there are no error."""
        with self._lock:
            self._rows.remove(ids)

    def search(
        self,
        queries: Float32Array,
        projection: Projection | None,
        *,
        key: str,
        limit: int,
        among: Sequence[PointId] | None = None,
        without: Sequence[PointId] = (),
    ) -> list[list[tuple[PointId, float]]]:
        """For each query the points whose representations are nearest, best first.

        Args:
            queries: conditional representations [Q, r], unit rows.
            projection: the criterion's, on the scan's device; None compares the raw embeddings.
            key: what the criterion's projected embeddings are kept under.
            limit: how many points to find for each query.
            among: ids to choose from; None for all.
            without: ids to leave out.

        Returns:
            Q lists of at most `limit` pairs of id and exact cosine.
        """
        with self._lock:
            if not len(self._rows):
                return [[] for _ in queries]
            barred = self._barred(among, without)
            chunks = self._raw if projection is None else self._conditional(key, projection)
            found = []
            for start in range(0, len(queries), _QUERIES_AT_ONCE):
                wanted = torch.from_numpy(queries[start : start + _QUERIES_AT_ONCE]).to(self._device)
                found += self._best(wanted, chunks, barred, limit)
            return found

    def _best(
        self, queries: Tensor, chunks: list[Tensor], barred: Tensor | None, limit: int
    ) -> list[list[tuple[PointId, float]]]:
        """The best of every chunk, then the best of those: a chunk's scores stay in the processor's cache."""
        scores, rows = [], []
        for number, chunk in enumerate(chunks):
            first, held = number * _CHUNK, min(_CHUNK, self._rows.end - number * _CHUNK)
            found = cosine_similarity(queries, chunk[:held].float())
            if barred is not None:
                found[:, barred[first : first + held]] = -torch.inf
            values, positions = _top_of_rows(found, min(limit, held))
            scores.append(values)
            rows.append(positions + first)
        every_score, every_row = torch.cat(scores, dim=1).cpu(), torch.cat(rows, dim=1).cpu()
        answers = []
        for score, row in zip(every_score, every_row, strict=True):
            values, positions = top_k(score, limit)
            values, row = values[values > -2.0], row[positions[values > -2.0]]  # barred: minus infinity
            answers.append(list(zip(self._rows.ids(row.numpy()), values.clamp(max=1.0).tolist(), strict=True)))
        return answers

    def _barred(self, among: Sequence[PointId] | None, without: Sequence[PointId]) -> Tensor | None:
        """A mask [rows] of the rows that are no answer; None where all are."""
        barred = self._rows.vacant()
        if among is not None:
            barred = np.ones(self._rows.end, dtype=bool)
            barred[self._rows.find(among)] = False
        if without:
            barred = np.zeros(self._rows.end, dtype=bool) if barred is None else barred
            barred[self._rows.find(without)] = True
        return None if barred is None else torch.from_numpy(barred).to(self._device)

    def _grow(self) -> None:
        """Chunks for all rows."""
        while len(self._raw) * _CHUNK < self._rows.end:
            self._raw.append(self._empty(self._dimension, torch.float16))
            for projection, chunks in self._projected.values():
                chunks.append(self._empty(projection.rank, torch.float32))

    def _empty(self, columns: int, dtype: torch.dtype) -> Tensor:
        # not zeros: what no row has been written to takes no memory yet
        return torch.empty(_CHUNK, columns, dtype=dtype, device=self._device)

    def _conditional(self, key: str, projection: Projection) -> list[Tensor]:
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


def _top_of_rows(scores: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """The `limit` largest of each row of [Q, N], and where they are.

    They lie in the `limit` blocks of a row whose largest values are largest, so only those are sorted.
    """
    queries, columns = scores.shape
    if queries == 1 or columns % _BLOCK or limit * _BLOCK * 4 > columns:
        return torch.topk(scores, limit, dim=1)
    blocks = scores.view(queries, -1, _BLOCK)
    best_blocks = blocks.amax(dim=2).topk(limit, dim=1).indices  # [Q, limit]
    chosen = blocks.gather(1, best_blocks[:, :, None].expand(-1, -1, _BLOCK)).reshape(queries, -1)
    values, positions = chosen.topk(limit, dim=1)
    return values, best_blocks.gather(1, positions // _BLOCK) * _BLOCK + positions % _BLOCK
