"""A projection on a torch device: conditional representations of many images at once.

The formula is that of `stored.py`, and one test holds the two equal over all options.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from crl_qdrant.projection.stored import StoredProjection

__all__ = ["Head", "Projection", "conditional_representation", "cosine_similarity", "on_device"]

_NOTHING = 1e-6


class Head(NamedTuple):
    """A trained head behind the conditional representation z: unit(relu(z·W₁ + b₁)·W₂ + b₂).

    The paper's has batch normalisation before the ReLU (arXiv 2510.04564, D.3); once trained that is a factor and a
    summand for each hidden dimension, and they are part of W₁ and b₁ here.
    """

    hidden_weight: Tensor  # W₁, [width, h]
    hidden_bias: Tensor  # b₁, [h]
    out_weight: Tensor  # W₂, [h, out]
    out_bias: Tensor  # b₂, [out]

    def __call__(self, representations: Tensor) -> Tensor:
        """Unit rows [N, out] of unit rows [N, width]; a row of zeros stays one."""
        hidden = functional.relu(representations @ self.hidden_weight + self.hidden_bias)
        rows = hidden @ self.out_weight + self.out_bias
        return functional.normalize(rows * representations.any(dim=-1, keepdim=True), dim=-1)

    def to(self, device: torch.device) -> Head:
        """The same on another device."""
        return Head(*(each.to(device) for each in self))


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A `StoredProjection` whose parts are tensors on one device; see there for what each is.

    Attributes:
        matrix: P, float32 [d, r].
        offset: float32 [r].
        words: U, float32 [K, r].
        sharpen: temperature; 0 for none.
        blend: the sharpened form's share.
        rest: the plain image's share.
        image_mean: float32 [d], where there is a rest.
        compression: C, float32 [full width, width]; None where all floats are kept.
        head: what a representation goes through before it is compared; None for nothing.
    """

    matrix: Tensor
    offset: Tensor
    words: Tensor
    sharpen: float = 0.0
    blend: float = 1.0
    rest: float = 0.0
    image_mean: Tensor | None = None
    compression: Tensor | None = None
    head: Head | None = None
    scale: float = field(init=False)  # the matrix' norm, below whose rounding a product is nothing

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(torch.linalg.matrix_norm(self.matrix)))

    @property
    def rank(self) -> int:
        """Dimensions of the representations, or of the head's output."""
        if self.head is not None:
            return int(self.head.out_bias.shape[0])
        if self.compression is not None:
            return int(self.compression.shape[1])
        words, rank = self.words.shape
        rest = self.matrix.shape[0] if self.rest else 0
        return (words if self.sharpen else 0) + (rank if not self.sharpen or self.blend < 1.0 else 0) + rest

    def to(self, device: torch.device) -> Projection:
        """The same on another device."""
        moved = {
            name: part.to(device)
            for name in ("matrix", "offset", "words", "image_mean", "compression", "head")
            if (part := getattr(self, name)) is not None
        }
        return replace(self, **moved)


def on_device(stored: StoredProjection, device: torch.device | str = "cpu") -> Projection:
    """Bring a stored projection to a torch device."""
    made = Projection(
        torch.tensor(stored.matrix),
        torch.tensor(stored.offset),
        torch.tensor(stored.words),
        stored.sharpen,
        stored.blend,
        stored.rest,
        None if stored.image_mean is None else torch.tensor(stored.image_mean),
        None if stored.compression is None else torch.tensor(stored.compression),
        None if stored.head is None else Head(*map(torch.tensor, stored.head)),
    )
    return made.to(torch.device(device))


def conditional_representation(image_embeddings: Tensor, projection: Projection) -> Tensor:
    """The criterion's view of each image, as `StoredProjection.represent` has it.

    The sharpened form of a row z is softmax(z·Uᵀ / (temperature · std)) over the K words, std being that of z·Uᵀ:
    standardising makes a temperature mean the same for every encoder, whose similarities differ in scale.

    Args:
        image_embeddings: I, [N, d], any float type (half precision is projected in float32).
        projection: on the same device.

    Returns:
        float32 [N, rank], unit rows; a row of zeros where an image has no part in the words' span, nor in the rest.
    """
    rows = _uncompressed(image_embeddings.to(torch.float32), projection)
    if projection.compression is not None:
        rows = _unit_or_zero(rows @ projection.compression, _NOTHING)
    return rows if projection.head is None else projection.head(rows)


def _uncompressed(images: Tensor, projection: Projection) -> Tensor:
    """The representation [N, full width] in front of compression and head."""
    # what is left of an embedding that is orthogonal to all words is rounding, not a direction
    similar = _unit_or_zero(images @ projection.matrix + projection.offset, _NOTHING * projection.scale)
    by_words = _blended(similar, projection)
    if projection.image_mean is None:
        return by_words
    rest = _unit_or_zero(images - projection.image_mean, _NOTHING)
    share = projection.rest
    return functional.normalize(torch.cat([(1.0 - share) ** 0.5 * by_words, share**0.5 * rest], dim=-1), dim=-1)


def _blended(similar: Tensor, projection: Projection) -> Tensor:
    """The similarities [N, r] with their sharpened form beside them."""
    if not projection.sharpen:
        return similar
    by_words = similar @ projection.words.T
    deviation = by_words.std(dim=-1, correction=0, keepdim=True)
    heights = by_words / (projection.sharpen * deviation.clamp(min=_NOTHING))
    sharp = functional.normalize(functional.softmax(heights, dim=-1), dim=-1) * (deviation > _NOTHING)
    if projection.blend == 1.0:
        return sharp
    share = projection.blend
    blended = torch.cat([(1.0 - share) ** 0.5 * similar, share**0.5 * sharp], dim=-1)
    return blended if projection.rest else functional.normalize(blended, dim=-1)


def _unit_or_zero(rows: Tensor, nothing: float) -> Tensor:
    lengths = rows.norm(dim=-1, keepdim=True)
    scaled: Tensor = rows / lengths.clamp(min=1e-30) * (lengths > nothing)
    return scaled


def cosine_similarity(queries: Tensor, candidates: Tensor) -> Tensor:
    """Cosine of every query [Q, r] (or [r]) with every candidate [N, r], whose rows are of unit length.

    Returns:
        float32 [Q, N] (or [N]) in [-1, 1], but for rounding.
    """
    return queries @ candidates.T
