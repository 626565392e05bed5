"""Conditional search without a named vector: raw embeddings in memory, projected once per criterion.

A dot product on the raw vectors cannot rank by conditional cosine (each candidate has its own norm under the
projection), so the scan looks at every embedding. N embeddings take N·d·2 bytes, each criterion in use N·r·4 more and
their ids some 30 bytes each.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.space import Space
from crl_qdrant.search.memory.engine import Best, Engine
from crl_qdrant.search.memory.rows import Rows

__all__ = ["Scan", "Term"]

_CRITERIA_HELD: Final = 8
_QUERIES_AT_ONCE: Final = 64

BoolArray = npt.NDArray[np.bool_]
Term = tuple[Space, Float32Array]
"""A space, and directions [Q, r] in it."""


class Scan:
    """The raw embeddings of a collection, in half precision; safe to use from several threads.

    Args:
        dimension: d of the embeddings.
        engine: keeps and scores them.
    """

    def __init__(self, dimension: int, engine: Engine) -> None:
        self._dimension = dimension
        self._engine = engine
        self._lock = threading.RLock()
        self._rows = Rows()
        self._raw: list[Any] = []  # chunks of embeddings, in half precision
        self._projected: OrderedDict[str, tuple[Space, list[Any]]] = OrderedDict()  # and chunks of representations

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, ids: Sequence[PointId], embeddings: Float32Array) -> None:
        """Add B different points, or replace those that are there: unit rows [B, d]."""
        with self._lock:
            rows = self._rows.put(ids)
            self._grow()
            fresh = self._engine.load(embeddings)
            self._engine.write(self._raw, rows, fresh)
            for space, chunks in self._projected.values():
                self._engine.write(chunks, rows, self._engine.project(fresh, space))

    def remove(self, ids: Sequence[PointId]) -> None:
        """Take points out; ids that are not there are no error."""
        with self._lock:
            self._rows.remove(ids)

    def search(
        self,
        terms: Sequence[Term],
        *,
        limit: int,
        among: Sequence[PointId] | None = None,
        without: Sequence[PointId] = (),
    ) -> list[list[tuple[PointId, float]]]:
        """For each query the points with the greatest sums of products, best first; equal sums by id.

        Args:
            terms: each a space with a direction [Q, r] for each query, whose length is its weight.
            limit: how many points to find for each query.
            among: ids to choose from; None for all.
            without: ids to leave out.

        Returns:
            Q lists of at most `limit` pairs of id and sum, as the half precision of the embeddings has it.
        """
        number = len(terms[0][1])
        with self._lock:
            if not len(self._rows):
                return [[] for _ in range(number)]
            barred = self._barred(among, without)
            every = [(self._chunks(space), directions) for space, directions in terms]
            found: list[list[tuple[PointId, float]]] = []
            for start in range(0, number, _QUERIES_AT_ONCE):
                part = slice(start, start + _QUERIES_AT_ONCE)
                wanted = [(chunks, np.ascontiguousarray(directions[part])) for chunks, directions in every]
                best = self._engine.best(wanted, barred, limit)
                found += self._ordered(best, len(wanted[0][1]), limit)
            return found

    def _ordered(self, best: Best, queries: int, limit: int) -> list[list[tuple[PointId, float]]]:
        query, rows, scores = best
        order = np.lexsort((*self._rows.sort_keys(rows), -scores, query))
        number = np.bincount(query, minlength=queries)
        rank = np.arange(len(order)) - np.repeat(number.cumsum() - number, number)
        order = order[rank < limit]
        pairs = zip(self._rows.ids(rows[order]), scores[order].tolist(), strict=True)
        return [list(islice(pairs, each)) for each in number.clip(max=limit).tolist()]

    def _barred(self, among: Sequence[PointId] | None, without: Sequence[PointId]) -> BoolArray:
        """A mask of the rows that are no answer, as long as the chunks."""
        barred = np.ones(len(self._raw) * self._engine.chunk, dtype=bool)
        if among is None:
            barred[: self._rows.end] = self._rows.vacant()
        else:
            barred[self._rows.find(among)] = False
        if without:
            barred[self._rows.find(without)] = True
        return barred

    def _grow(self) -> None:
        """Chunks for all rows."""
        while len(self._raw) * self._engine.chunk < self._rows.end:
            self._raw.append(self._engine.empty(self._dimension, half=True))
            for space, chunks in self._projected.values():
                chunks.append(self._engine.empty(space.rank, half=False))

    def _chunks(self, space: Space) -> list[Any]:
        """The chunks of a space; those of a criterion are made once."""
        if space.projection is None:
            return self._raw
        if space.key not in self._projected:
            self._projected[space.key] = (space, [self._engine.project(chunk, space) for chunk in self._raw])
            if len(self._projected) > _CRITERIA_HELD:
                self._projected.popitem(last=False)
        self._projected.move_to_end(space.key)
        return self._projected[space.key][1]
