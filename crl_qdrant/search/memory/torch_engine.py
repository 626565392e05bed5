"""The arithmetic of a scan by torch, on the CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.criteria.space import Space
from crl_qdrant.projection.on_device import conditional_representation
from crl_qdrant.search.memory.engine import Best, BoolArray, IntArray, rounding_of

__all__ = ["TorchEngine"]

_BLOCKS_AT_ONCE: Final = 256

Terms = Sequence[tuple[Sequence[Tensor], Tensor]]


class TorchEngine:
    """Rows on one device.

    Args:
        device: where rows are kept and scored.
        chunk: rows of a chunk, whose scores stay in the processor's cache.
        block: rows of a block, of which only the best score is kept at first.
    """

    def __init__(self, device: torch.device, chunk: int = 4096, block: int = 32) -> None:
        self._device = device
        self.chunk = chunk
        self._block = block

    def empty(self, columns: int, *, half: bool) -> Any:
        """As `Engine.empty`."""
        # not zeros: what no row has been written to takes no memory yet
        return torch.empty(self.chunk, columns, dtype=torch.float16 if half else torch.float32, device=self._device)

    def write(self, chunks: Sequence[Any], rows: IntArray, values: Any) -> None:
        """As `Engine.write`."""
        places = torch.from_numpy(rows).to(self._device)
        # several chunks are touched only where a batch crosses a border
        for each in np.unique(rows // self.chunk).tolist():
            inside = (places >= each * self.chunk) & (places < (each + 1) * self.chunk)
            chunks[each][places[inside] - each * self.chunk] = values[inside]

    def load(self, embeddings: Float32Array) -> Any:
        """As `Engine.load`."""
        return torch.from_numpy(embeddings).to(self._device, torch.float16)

    def project(self, embeddings: Any, space: Space) -> Any:
        """As `Engine.project`."""
        if space.projection is None:
            return embeddings.float()
        return conditional_representation(embeddings, space.projector.projection(space.projection))

    def best(self, terms: Sequence[tuple[Sequence[Any], Float32Array]], barred: BoolArray, limit: int) -> Best:
        """The best rows lie in the blocks whose best rows are best: those are found, and their rows scored again."""
        wanted = [(chunks, torch.from_numpy(directions).to(self._device)) for chunks, directions in terms]
        best = self._best_of_blocks(wanted, barred)
        least = torch.full((len(best), 1), -torch.inf, device=self._device)
        if limit <= best.shape[1]:
            rounding = torch.from_numpy(rounding_of(terms)).to(self._device)
            least = best.topk(limit, dim=1).values[:, -1:] - rounding
        of_query, block = torch.nonzero((best >= least) & (best > -torch.inf), as_tuple=True)
        scores = self._scores_in(block, of_query, wanted).cpu().numpy()  # [blocks of all queries, block]
        rows = block.cpu().numpy()[:, None] * self._block + np.arange(self._block)
        query = np.repeat(of_query.cpu().numpy()[:, None], self._block, axis=1)
        good = (scores >= least.cpu().numpy()[query[:, 0]]) & ~barred[rows]
        return query[good], rows[good], scores[good]

    def _best_of_blocks(self, terms: Terms, barred: BoolArray) -> Tensor:
        """The best score in each block, [Q, blocks]; a chunk's scores never leave the processor's cache."""
        best = []
        masks = barred.reshape(-1, self.chunk)
        number = len(terms[0][1])
        for at, (mask, any_barred) in enumerate(zip(masks, np.any(masks, axis=1), strict=True)):
            # [chunk, Q], which is quicker than [Q, chunk]
            scores = torch.zeros(self.chunk, number, device=self._device)
            for chunks, directions in terms:
                scores += chunks[at].float() @ directions.T
            if any_barred:
                scores.masked_fill_(torch.from_numpy(mask).to(self._device)[:, None], -torch.inf)
            best.append(scores.view(-1, self._block, number).amax(dim=1))
        return torch.cat(best).T.contiguous()

    def _scores_in(self, blocks: Tensor, queries: Tensor, terms: Terms) -> Tensor:
        """Scores [n, block] of the rows in n blocks, each with one of the queries."""
        scores = torch.zeros(len(blocks), self._block, device=self._device)
        in_chunk = self.chunk // self._block
        for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
            part = slice(start, start + _BLOCKS_AT_ONCE)
            places = [divmod(each, in_chunk) for each in blocks[part].tolist()]
            for chunks, directions in terms:
                rows = torch.stack([chunks[each][n * self._block : (n + 1) * self._block] for each, n in places])
                # no matrix product: its rounding depends on how many rows there are, and the order of equals would too
                scores[part] += (rows.float() * directions[queries[part]][:, None]).sum(dim=2)
        return scores
