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
    """A criterion's map from image embeddings to representations, in NumPy; `on_device.Projection` is it in torch.

    A representation is up to three parts of unit length beside each other: the similarities z [r], their sharpened form
    [K], and the rest [d], the plain image less the mean image. Weights make the cosine of the whole
    (1 - rest)·((1 - blend)·cosine of z + blend·cosine of the sharpened forms) + rest·cosine of the plain images.
    Where it is compressed, its leading directions are kept and brought to unit length again.

    A collection stores it and does not compute it again from the words. A singular vector's sign, and any rotation
    among equal singular values, depend on the machine, and named vectors were written with one choice.

    Attributes:
        matrix: P, [d, r].
        offset: [r], added to I·P: minus the projected mean image, or zeros.
        words: U, [K, r], orthonormal columns: z·Uᵀ are the similarities z by words.
        sharpen: temperature of the softmax over the words; 0 for none.
        blend: the sharpened form's share of what is compared by words, in [0, 1].
        rest: the plain image's share of the cosine, in [0, 1).
        image_mean: [d], where there is a rest.
        compression: C, [full width, width], orthonormal columns; None where all floats are kept.
        head: what a representation goes through before it is compared; None for nothing.
        lift: how much more than chance the words tell of the images (`fit.lift`), where shares were found by it.
        awaits_images: whether defining it again, with images in the collection, would change it.
        form: 2; 1 where version 0.1 wrote it.
    """

    matrix: Float32Array
    offset: Float32Array
    words: Float32Array
    sharpen: float = 0.0
    blend: float = 1.0
    rest: float = 0.0
    image_mean: Float32Array | None = None
    compression: Float32Array | None = None
    head: StoredHead | None = None
    lift: float | None = None
    awaits_images: bool = False
    form: int = 2
    key: str = field(init=False)  # 16 hex digits that change with the representations
    scale: float = field(init=False)  # the matrix' norm

    def __post_init__(self) -> None:
        if (self.image_mean is None) == bool(self.rest):
            raise ValueError("a projection has the images' mean just where it has a rest")
        digest = hashlib.sha256(np.ascontiguousarray(self.matrix).tobytes())
        digest.update(np.ascontiguousarray(self.offset).tobytes())
        digest.update(np.ascontiguousarray(self.words).tobytes() + repr((self.sharpen, self.blend)).encode())
        if self.image_mean is not None:
            digest.update(repr(self.rest).encode() + np.ascontiguousarray(self.image_mean).tobytes())
        if self.compression is not None:
            digest.update(np.ascontiguousarray(self.compression).tobytes())
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
        return self.full_width if self.compression is None else self.compression.shape[1]

    @property
    def full_width(self) -> int:
        """Dimensions before the compression: r for the similarities, K for the sharpened form, d for the rest."""
        words, rank = self.words.shape
        rest = len(self.matrix) if self.rest else 0
        return (words if self.sharpen else 0) + (rank if self._has_similarities else 0) + rest

    @property
    def _has_similarities(self) -> bool:
        return not self.sharpen or self.blend < 1.0

    def represent(self, embeddings: Rows) -> Rows:
        """Compute what is compared, unit rows [N, rank]: conditional representations, or the head's output."""
        rows = self.conditional(embeddings)
        return rows if self.head is None else self.head.apply(rows)

    def conditional(self, embeddings: Rows) -> Rows:
        """Compute conditional representations [N, width] of unit embeddings [N, d], in their precision.

        Unit rows; zeros where an image has no part in the words, nor in the rest.
        """
        rows = self.uncompressed(embeddings)
        if self.compression is None:
            return rows
        return unit_or_zero(np.dot(rows, self.compression.astype(rows.dtype, copy=False)), _NOTHING)

    def uncompressed(self, embeddings: Rows) -> Rows:
        """Compute conditional representations before the compression, [N, full width]; unit rows, or zeros."""
        similar = self.similarities(embeddings)
        by_words, whole = self._blended(similar)
        if self.image_mean is None:
            return by_words if whole else unit_or_zero(by_words)
        rest = unit_or_zero(embeddings - self.image_mean.astype(embeddings.dtype, copy=False), _NOTHING)
        rows: Rows = np.concatenate([(1.0 - self.rest) ** 0.5 * by_words, self.rest**0.5 * rest], axis=1)
        return unit_or_zero(rows)

    def _blended(self, similar: Rows) -> tuple[Rows, bool]:
        """The similarities [N, r] with their sharpened form, and whether all rows are of unit length already."""
        if not self.sharpen:
            return similar, True
        by_words: Rows = similar @ self.words.T.astype(similar.dtype, copy=False)
        number = len(self.words)
        centred = by_words - by_words.sum(axis=1, keepdims=True) / number
        # not by std, which for one row takes longer than all the rest
        deviation = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / number)
        heights = centred / (self.sharpen * np.maximum(deviation, _NOTHING))
        sharp: Rows = unit_or_zero(np.exp(heights - heights.max(axis=1, keepdims=True)))
        told_apart = deviation > _NOTHING
        every = bool(told_apart.all())
        if not every:
            sharp = sharp * told_apart
        if self.blend == 1.0:
            return sharp, True
        blended: Rows = np.concatenate([(1.0 - self.blend) ** 0.5 * similar, self.blend**0.5 * sharp], axis=1)
        return blended, every

    def similarities(self, embeddings: Rows) -> Rows:
        """Conditional representations without the sharpened form: rows of I·P + b at unit length, [N, r]."""
        kind = embeddings.dtype
        # dot: @ asks the processor's flags, which some matrix kernels set for lanes that are no part of the answer
        rows: Rows = np.dot(embeddings, self.matrix.astype(kind, copy=False)) + self.offset.astype(kind, copy=False)
        # what is left of an embedding that is orthogonal to all words is rounding, not a direction
        return unit_or_zero(rows, _NOTHING * self.scale)

    def by_words(self, representations: Rows) -> Rows:
        """Write conditional representations [N, width] by words, as one or two parts [N, parts, K]: a linear map.

        A cosine of two representations is the sum of their products here, over parts and words, and of their products
        in `without_words`.
        """
        return self._by_words(self._expanded(representations))

    def without_words(self, representations: Rows) -> Rows:
        """Return the part of conditional representations [N, width] that no word has, [N, d]; [N, 0] without a rest.

        Linear, as `by_words`.
        """
        rows = self._expanded(representations)
        return rows[:, len(rows.T) - (len(self.matrix) if self.rest else 0) :]

    def words_of(self, embeddings: Rows) -> Rows:
        """Write unit embeddings [N, d] by words, [N, parts, K], before compression: sharper than `by_words`, for tags.

        Their products add up to what the cosine would be with all floats kept.
        """
        return self._by_words(self.uncompressed(embeddings))

    def _expanded(self, representations: Rows) -> Rows:
        """Undo the compression as far as it can be undone: rows [N, full width] with the same inner products."""
        if self.compression is None:
            return representations
        return representations @ self.compression.T.astype(representations.dtype, copy=False)

    def _by_words(self, rows: Rows) -> Rows:
        number, rank = len(self.words), self.words.shape[1] if self._has_similarities else 0
        parts = [rows[:, rank : rank + number]] if self.sharpen else []
        if rank:
            parts.insert(0, rows[:, :rank] @ self.words.T.astype(rows.dtype, copy=False))
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
            "rest": self.rest,
            "lift": self.lift,
            "awaits_images": self.awaits_images,
            "form": self.form,
        }
        if self.image_mean is not None:
            entry["image_mean"] = to_base64(self.image_mean)
        if self.compression is not None:
            entry["compression"] = to_base64(self.compression)
        if self.head is not None:
            entry["head"] = self.head.to_entry()
        return entry

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], *, dimension: int) -> StoredProjection:
        """The projection that `to_entry` wrote, of embeddings of this dimension; version 0.1 wrote fewer parts.

        Raises:
            ValueError: if the parts do not fit together.
        """
        matrix = from_base64(entry["matrix"], rows=dimension)
        words = from_base64(entry["words"], rows=entry["number_of_words"])
        offset = from_base64(entry["offset"], rows=1)[0]
        sharpen, blend, rest = (float(entry.get(name, 0.0)) for name in ("sharpen", "blend", "rest"))
        parts = offset.shape == matrix.shape[1:] == words.shape[1:], len(words) > 0, matrix.shape[1] > 0
        if not all(parts) or not all(np.isfinite(each).all() for each in (matrix, offset, words)):
            raise ValueError(f"a projection's parts have the shapes {matrix.shape}, {offset.shape}, {words.shape}")
        if not (0.0 <= blend <= 1.0 and 0.0 <= rest < 1.0 and 0.0 <= sharpen < math.inf):
            raise ValueError(f"a projection has sharpen {sharpen}, blend {blend} and rest {rest}")
        mean = from_base64(entry["image_mean"], rows=1)[0] if rest else None
        if mean is not None and (len(mean) != dimension or not np.isfinite(mean).all()):
            raise ValueError(f"the mean image of a projection has {len(mean)} dimensions, not {dimension}")
        made = cls(
            matrix,
            offset,
            words,
            sharpen,
            blend,
            rest,
            mean,
            lift=None if entry.get("lift") is None else float(entry["lift"]),
            awaits_images=bool(entry.get("awaits_images", False)),
            form=int(entry.get("form", 1)),
        )
        if "compression" in entry:
            compression = from_base64(entry["compression"], rows=made.full_width)
            if not compression.shape[1] or not np.isfinite(compression).all():
                raise ValueError(f"the compression of a projection has shape {compression.shape}, or NaN")
            made = replace(made, compression=compression)
        return replace(made, head=StoredHead.from_entry(entry["head"], width=made.width)) if "head" in entry else made
