"""Exact conditional search without a named vector: raw embeddings held on the device, projected once per criterion.

A dot product on the raw vectors cannot rank by conditional cosine (each candidate has its own norm under the
projection), so the scan looks at every embedding. N embeddings take N·d·2 bytes, each criterion in use N·r·4 more and
their ids some 30 bytes each.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.projection.on_device import conditional_representation, cosine_similarity, Projection
from crl_qdrant.search.memory.rows import Rows

__all__ = ["Scan"]

_CHUNK: Final = 4_096
_CRITERIA_HELD: Final = 8
_QUERIES_AT_ONCE: Final = 64
_BLOCK: Final = 32  # rows
_BLOCKS: Final = _CHUNK // _BLOCK  # in a chunk
_BLOCKS_AT_ONCE: Final = 256
_ROUNDING: Final = 1e-5  # of a cosine in float32

BoolArray = npt.NDArray[np.bool_]


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
        self, queries: Tensor, chunks: list[Tensor], barred: BoolArray, limit: int
    ) -> list[list[tuple[PointId, float]]]:
        """The best rows lie in the blocks whose best rows are best: those are found, and their rows scored again."""
        best = self._best_of_blocks(queries, chunks, barred)
        least = torch.full((len(queries), 1), -torch.inf, device=self._device)
        if limit <= best.shape[1]:
            least = best.topk(limit, dim=1).values[:, -1:] - _ROUNDING
        of_query, block = torch.nonzero((best >= least) & (best > -torch.inf), as_tuple=True)
        scores = self._scores_in(block, queries[of_query], chunks).cpu().numpy()  # [blocks of all queries, _BLOCK]
        rows = block.cpu().numpy()[:, None] * _BLOCK + np.arange(_BLOCK)
        query = np.repeat(of_query.cpu().numpy()[:, None], _BLOCK, axis=1)
        good = (scores >= least.cpu().numpy()[query[:, 0]]) & ~barred[rows]
        query, rows, scores = query[good], rows[good], scores[good]
        order = np.lexsort((rows, -scores, query))  # equal scores in the order of rows
        number = np.bincount(query, minlength=len(queries))
        rank = np.arange(len(order)) - np.repeat(number.cumsum() - number, number)
        order = order[rank < limit]
        pairs = zip(self._rows.ids(rows[order]), scores[order].clip(max=1.0).tolist(), strict=True)
        return [list(islice(pairs, each)) for each in number.clip(max=limit).tolist()]

    def _best_of_blocks(self, queries: Tensor, chunks: list[Tensor], barred: BoolArray) -> Tensor:
        """The best score in each block, [Q, blocks]; a chunk's scores never leave the processor's cache."""
        best = []
        masks = barred.reshape(-1, _CHUNK)
        for chunk, mask, any_barred in zip(chunks, masks, np.any(masks, axis=1), strict=True):
            scores = cosine_similarity(chunk.float(), queries)  # [_CHUNK, Q], which is quicker than [Q, _CHUNK]
            if any_barred:
                scores.masked_fill_(torch.from_numpy(mask).to(self._device)[:, None], -torch.inf)
            best.append(scores.view(_BLOCKS, _BLOCK, -1).amax(dim=1))
        return torch.cat(best).T.contiguous()

    def _scores_in(self, blocks: Tensor, queries: Tensor, chunks: list[Tensor]) -> Tensor:
        """Scores [n, _BLOCK] of the rows in n blocks with a query [n, r] each."""
        scores = torch.empty(len(blocks), _BLOCK, device=self._device)
        for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
            part = slice(start, start + _BLOCKS_AT_ONCE)
            places = [divmod(each, _BLOCKS) for each in blocks[part].tolist()]
            rows = torch.stack([chunks[chunk][block * _BLOCK : (block + 1) * _BLOCK] for chunk, block in places])
            # no matrix product: its rounding depends on how many rows there are, and the order of equals would too
            scores[part] = (rows.float() * queries[part][:, None]).sum(dim=2)
        return scores

    def _barred(self, among: Sequence[PointId] | None, without: Sequence[PointId]) -> BoolArray:
        """A mask of the rows that are no answer, as long as the chunks."""
        barred = np.ones(len(self._raw) * _CHUNK, dtype=bool)
        if among is None:
            barred[: self._rows.end] = self._rows.vacant()
        else:
            barred[self._rows.find(among)] = False
        if without:
            barred[self._rows.find(without)] = True
        return barred

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
