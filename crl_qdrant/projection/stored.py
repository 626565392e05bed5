"""A criterion's projection as a collection keeps it, and as it is applied to a few rows without waking torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from crl_qdrant.common.arrays import Float32Array, from_base64, Rows, to_base64, unit_or_zero
from crl_qdrant.projection.stored_head import StoredHead

__all__ = ["StoredProjection"]

_NOTHING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class StoredProjection:
    """What `projection.Projection` is, in NumPy; its attributes say what each part is.

    It is kept, not computed again from the words: a singular vector's sign, and any rotation among equal singular
    values, are the choice of the machine that computed it, and named vectors were written with one choice.
    """

    matrix: Float32Array  # [d, r]
    offset: Float32Array  # [r]
    words: Float32Array  # [K, r]
    sharpen: float = 0.0
    blend: float = 1.0
    head: StoredHead | None = None
    key: str = field(init=False)  # 16 hex digits that change with the representations
    scale: float = field(init=False)  # the matrix' norm

    def __post_init__(self) -> None:
        digest = hashlib.sha256(np.ascontiguousarray(self.matrix).tobytes())
        digest.update(np.ascontiguousarray(self.offset).tobytes())
        digest.update(np.ascontiguousarray(self.words).tobytes() + repr((self.sharpen, self.blend)).encode())
        if self.head is not None:
            digest.update(self.head.tobytes())
        object.__setattr__(self, "key", digest.hexdigest()[:16])
        object.__setattr__(self, "scale", float(np.linalg.norm(self.matrix)))

    @property
    def rank(self) -> int:
        """Dimensions of what `represent` gives."""
        return self.width if self.head is None else self.head.out

    @property
    def width(self) -> int:
        """Dimensions of conditional representations, in front of a head."""
        words, rank = self.words.shape
        return (words if self.sharpen else 0) + (rank if self._has_similarities else 0)

    @property
    def _has_similarities(self) -> bool:
        return not self.sharpen or self.blend < 1.0

    def represent(self, embeddings: Rows) -> Rows:
        """What is compared: conditional representations, or what the head makes of them; unit rows [N, rank]."""
        rows = self.conditional(embeddings)
        return rows if self.head is None else self.head.apply(rows)

    def conditional(self, embeddings: Rows) -> Rows:
        """Conditional representations [N, width] of unit embeddings [N, d], in the precision of these.

        Unit rows; zeros where an image has no part in the words.
        """
        similar = self.similarities(embeddings)
        if not self.sharpen:
            return similar
        by_words: Rows = similar @ self.words.T.astype(similar.dtype, copy=False)
        number = len(self.words)
        centred = by_words - by_words.sum(axis=1, keepdims=True) / number
        # not by std, which for one row takes longer than all the rest
        deviation = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / number)
        heights = centred / (self.sharpen * np.maximum(deviation, 1e-30))
        sharp: Rows = unit_or_zero(np.exp(heights - heights.max(axis=1, keepdims=True)))
        told_apart = deviation > _NOTHING
        every = told_apart.all()
        if not every:
            sharp = sharp * told_apart
        if self.blend == 1.0:
            return sharp
        blended: Rows = np.concatenate([(1.0 - self.blend) ** 0.5 * similar, self.blend**0.5 * sharp], axis=1)
        return blended if every else unit_or_zero(blended)

    def similarities(self, embeddings: Rows) -> Rows:
        """Conditional representations without the sharpened form: rows of I·P + b at unit length, [N, r]."""
        kind = embeddings.dtype
        # dot: @ asks the processor's flags, which some matrix kernels set for lanes that are no part of the answer
        rows: Rows = np.dot(embeddings, self.matrix.astype(kind, copy=False)) + self.offset.astype(kind, copy=False)
        # what is left of an embedding that is orthogonal to all words is rounding, not a direction
        return unit_or_zero(rows, _NOTHING * self.scale)

    def by_words(self, representations: Rows) -> Rows:
        """Conditional representations [N, width] as one or two parts [N, parts, K] by words, same inner products."""
        rank = self.words.shape[1] if self._has_similarities else 0
        parts = [representations[:, rank:]] if self.sharpen else []
        if rank:
            parts.insert(0, representations[:, :rank] @ self.words.T.astype(representations.dtype, copy=False))
        stacked: Rows = np.stack(parts, axis=1)
        return stacked

    def to_entry(self) -> dict[str, Any]:
        """A JSON-able copy; `from_entry` reads it back."""
        entry: dict[str, Any] = {
            "matrix": to_base64(self.matrix),
            "offset": to_base64(self.offset),
            "words": to_base64(self.words),
            "number_of_words": len(self.words),
            "sharpen": self.sharpen,
            "blend": self.blend,
        }
        if self.head is not None:
            entry["head"] = self.head.to_entry()
        return entry

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], *, dimension: int) -> StoredProjection:
        """The projection that `to_entry` wrote, of embeddings of this dimension."""
        matrix = from_base64(entry["matrix"], rows=dimension)
        words = from_base64(entry["words"], rows=entry["number_of_words"])
        offset = from_base64(entry["offset"], rows=1)[0]
        parts = offset.shape == matrix.shape[1:] == words.shape[1:], len(words) > 0, matrix.shape[1] > 0
        finite = all(np.isfinite(each).all() for each in (matrix, offset, words))
        if not all(parts) or not finite:
            raise ValueError(f"a projection's parts have the shapes {matrix.shape}, {offset.shape}, {words.shape}")
        if not 0.0 < float(entry["blend"]) <= 1.0 or not 0.0 <= float(entry["sharpen"]) < math.inf:
            raise ValueError(f"blend {entry['blend']!r}, sharpen {entry['sharpen']!r}")
        bare = cls(matrix, offset, words, float(entry["sharpen"]), float(entry["blend"]))
        return replace(bare, head=StoredHead.from_entry(entry["head"], width=bare.width)) if "head" in entry else bare
