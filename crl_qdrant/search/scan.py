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
from crl_qdrant.projection import conditional_representation, cosine_similarity, Projection, top_k

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
        self._row_of: dict[PointId, int] = {}
        self._id_of: list[PointId | None] = []  # None: a row whose point was removed, free for the next one
        self._free: list[int] = []
        self._raw: list[Tensor] = []  # chunks [_CHUNK, d], float16
        self._projected: OrderedDict[str, tuple[Projection, list[Tensor]]] = OrderedDict()  # and chunks [_CHUNK, r]

    def __len__(self) -> int:
        return len(self._row_of)

    def reserve(self, ids: Iterable[PointId]) -> None:
        """Make room for points that `put` will bring."""
        with self._lock:
            for point_id in ids:
                self._row(point_id)

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
        queries: Float32Array,
        projection: Projection | None,
        *,
        key: str,
        limit: int,
        among: Iterable[PointId] | None = None,
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
            if not self._row_of:
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
            first, held = number * _CHUNK, min(_CHUNK, len(self._id_of) - number * _CHUNK)
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
            pairs = zip(row[positions].tolist(), values.tolist(), strict=True)
            ids = [
                (self._id_of[each], min(value, 1.0)) for each, value in pairs if value > -2.0
            ]  # barred: minus infinity
            answers.append([(point_id, value) for point_id, value in ids if point_id is not None])
        return answers

    def _barred(self, among: Iterable[PointId] | None, without: Sequence[PointId]) -> Tensor | None:
        """A mask [rows] of the rows that are no answer; None where all are."""
        if among is None and not without and not self._free:
            return None
        barred = torch.zeros(len(self._id_of), dtype=torch.bool, device=self._device)
        if among is not None:
            barred[:] = True
            barred[[self._row_of[each] for each in among if each in self._row_of]] = False
        barred[self._free + [self._row_of[each] for each in without if each in self._row_of]] = True
        return barred

    def _row(self, point_id: PointId) -> int:
        row = self._row_of.get(point_id)
        if row is None:
            row = self._free.pop() if self._free else len(self._id_of)
            if row == len(self._id_of):
                self._id_of.append(None)
                if row % _CHUNK == 0:
                    self._raw.append(self._empty(self._dimension, torch.float16))
                    for projection, chunks in self._projected.values():
                        chunks.append(self._empty(projection.rank, torch.float32))
            self._row_of[point_id] = row
            self._id_of[row] = point_id
        return row

    def _empty(self, columns: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(_CHUNK, columns, dtype=dtype, device=self._device)

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
