"""The arithmetic of a scan: chunks of rows, and the rows that score best; NumPy's form, and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.device import check_device, choose_device
from crl_qdrant.criteria.space import Space
from crl_qdrant.errors import InputError

__all__ = ["Best", "Engine", "NumpyEngine", "make_engine"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Best = tuple[IntArray, IntArray, Float32Array]
"""Query, row and score of rows, in no order."""

ROUNDING = 1e-5
"""Of a product in float32 with a unit vector."""


class Engine(Protocol):
    """The arithmetic that keeps and scores rows. A chunk is an array of the engine's own, [chunk, columns].

    Attributes:
        chunk: rows of a chunk.
    """

    chunk: int

    def empty(self, columns: int, *, half: bool) -> Any:
        """A chunk that has not been written to, in half precision or float32."""

    def write(self, chunks: Sequence[Any], rows: IntArray, values: Any) -> None:
        """Put values [B, columns] into these rows, counted over all chunks."""

    def load(self, embeddings: Float32Array) -> Any:
        """Embeddings [B, d] in the engine's own half precision."""

    def project(self, embeddings: Any, space: Space) -> Any:
        """Representations [B, r] in float32 of embeddings [B, d] that `load` gave, or of a chunk of them."""

    def best(self, terms: Sequence[tuple[Sequence[Any], Float32Array]], barred: BoolArray, limit: int) -> Best:
        """For each query the rows of the `limit` best sums of products, and those that nearly are.

        Args:
            terms: chunks of one space, and a direction [Q, r] in it for each query; products are added up.
            barred: mask of the rows that are no answer, as long as all chunks.
            limit: how many rows for each query.
        """


class NumpyEngine:
    """Rows in this process's memory, scored by NumPy: for an installation without torch."""

    def __init__(self, chunk: int = 4096) -> None:
        self.chunk = chunk

    def empty(self, columns: int, *, half: bool) -> Any:
        """As `Engine.empty`."""
        return np.empty((self.chunk, columns), dtype=np.float16 if half else np.float32)

    def write(self, chunks: Sequence[Any], rows: IntArray, values: Any) -> None:
        """As `Engine.write`."""
        which, places = np.divmod(rows, self.chunk)
        for each in np.unique(which):
            chunks[each][places[which == each]] = values[which == each]

    def load(self, embeddings: Float32Array) -> Any:
        """As `Engine.load`."""
        return embeddings.astype(np.float16)

    def project(self, embeddings: Any, space: Space) -> Any:
        """As `Engine.project`."""
        rows: Float32Array = embeddings.astype(np.float32)
        # chunks are not zeros where no row has been written, and may hold anything
        rows[~np.isfinite(rows).all(axis=1)] = 0.0
        return rows if space.projection is None else space.projection.represent(rows)

    def best(self, terms: Sequence[tuple[Sequence[Any], Float32Array]], barred: BoolArray, limit: int) -> Best:
        """As `Engine.best`."""
        scores = np.concatenate(
            [
                np.sum(
                    [_product(chunk, directions) for chunk, (_, directions) in zip(chunks, terms, strict=True)], axis=0
                )
                for chunks in zip(*(chunks for chunks, _ in terms), strict=True)
            ],
            axis=1,
        )
        scores[:, barred] = -np.inf
        least = np.full((len(scores), 1), -np.inf, dtype=np.float32)
        if limit <= scores.shape[1]:
            least = np.partition(scores, -limit, axis=1)[:, -limit, None] - rounding_of(terms)
        query, row = np.nonzero((scores >= least) & (scores > -np.inf))
        return query, row, scores[query, row]


def _product(chunk: Any, directions: Float32Array) -> Float32Array:
    with np.errstate(all="ignore"):  # rows that have not been written may hold anything
        product: Float32Array = directions @ chunk.astype(np.float32).T
    return product


def rounding_of(terms: Sequence[tuple[Any, Float32Array]]) -> Float32Array:
    """The largest error of sums of products in float32, [Q, 1]."""
    lengths = [np.linalg.norm(directions, axis=1, keepdims=True) for _, directions in terms]
    return np.asarray(ROUNDING * np.sum(lengths, axis=0), dtype=np.float32)


def make_engine(device: str) -> Engine:
    """Torch's form on that device where torch is installed, else NumPy's.

    Raises:
        InputError: if the device is a GPU, and torch is not installed or does not see it.
    """
    check_device(device)
    if find_spec("torch") is not None:
        from crl_qdrant.search.memory.torch_engine import TorchEngine

        return TorchEngine(choose_device(device))
    if device.startswith("cuda"):
        raise InputError(f"`device` must be 'auto' or 'cpu' without torch, got {device!r}; pip install torch")
    return NumpyEngine()
