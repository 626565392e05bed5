"""A criterion's projection as a collection keeps it, and as it is applied to a few rows without waking torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from crl_qdrant.embeddings import Float32Array, from_base64, to_base64

__all__ = ["StoredProjection"]

Rows = TypeVar("Rows", Float32Array, npt.NDArray[np.float64])

_NOTHING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class StoredProjection:
    """What `projection.Projection` is, in NumPy; its attributes say what each part is.

    It is kept, not computed again from the words: a singular vector's sign, and any rotation among equal singular
    values, are the choice of the machine that computed it, and named vectors were written with one choice.
    """

    matrix: Float32Array  # [d, r]
    offset: Float32Array  # [r]
    sharpen: float
    words: Float32Array | None  # U, [K, r]
    key: str = field(init=False)  # 16 hex digits that change with the representations
    scale: float = field(init=False)  # the matrix' norm

    def __post_init__(self) -> None:
        digest = hashlib.sha256(np.ascontiguousarray(self.matrix).tobytes())
        digest.update(np.ascontiguousarray(self.offset).tobytes() + repr(self.sharpen).encode())
        object.__setattr__(self, "key", digest.hexdigest()[:16])
        object.__setattr__(self, "scale", float(np.linalg.norm(self.matrix)))

    @property
    def rank(self) -> int:
        """r, the dimensions of conditional representations."""
        return int(self.matrix.shape[1])

    def represent(self, embeddings: Rows) -> Rows:
        """Conditional representations of unit embeddings [N, d], unit rows [N, r]; zeros where there is no part in
        the words. Computed in the precision of the embeddings.
        """
        rows = self._similarities(embeddings)
        if self.sharpen:
            deviation = rows.std(axis=1, keepdims=True)
            heights = rows / (self.sharpen * np.maximum(deviation, 1e-30))
            rows = np.exp(heights - heights.max(axis=1, keepdims=True)) * (deviation > _NOTHING * self.scale)
        return self._unit(rows, 0.0 if self.sharpen else _NOTHING * self.scale)

    def unsharpened(self, embeddings: Rows) -> Rows:
        """The same before it is sharpened: similarities to the words, unit rows [N, r]; a linear map's direction."""
        return self._unit(self._similarities(embeddings), _NOTHING * self.scale)

    def by_words(self, representations: Rows) -> Rows:
        """Representations [N, r] with one dimension for each word, [N, K]; inner products stay as they are."""
        if self.words is None:
            return representations
        by_words: Rows = representations @ self.words.T.astype(representations.dtype, copy=False)
        return by_words

    def _similarities(self, embeddings: Rows) -> Rows:
        kind = embeddings.dtype
        rows: Rows = embeddings @ self.matrix.astype(kind, copy=False) + self.offset.astype(kind, copy=False)
        return rows

    @staticmethod
    def _unit(rows: Rows, nothing: float) -> Rows:
        # what is left of an embedding that is orthogonal to all words is rounding, not a direction
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        scaled: Rows = np.where(lengths > nothing, rows / np.maximum(lengths, 1e-30), 0.0).astype(rows.dtype)
        return scaled

    def to_entry(self) -> dict[str, Any]:
        """A JSON-able copy; `from_entry` reads it back."""
        entry: dict[str, Any] = {
            "matrix": to_base64(self.matrix),
            "offset": to_base64(self.offset),
            "sharpen": self.sharpen,
        }
        if self.words is not None:
            entry |= {"words": to_base64(self.words), "number_of_words": len(self.words)}
        return entry

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], *, dimension: int) -> StoredProjection:
        """The projection that `to_entry` wrote, of embeddings of this dimension."""
        matrix = from_base64(entry["matrix"], rows=dimension)
        words = from_base64(entry["words"], rows=entry["number_of_words"]) if "words" in entry else None
        return cls(matrix, from_base64(entry["offset"], rows=1)[0], float(entry["sharpen"]), words)
