"""A projection on a torch device: conditional representations of many images at once."""

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
    """What turns image embeddings into conditional representations.

    Attributes:
        matrix: P, float32 [d, r].
        offset: float32 [r], added to I·P: minus the projected mean image, or zeros.
        words: U, float32 [K, r], orthonormal columns: z·Uᵀ are the similarities z by words.
        sharpen: temperature of the softmax over the words; 0 for none.
        blend: the sharpened form's share of the cosine.
        head: what a representation goes through before it is compared; None for nothing.
    """

    matrix: Tensor
    offset: Tensor
    words: Tensor
    sharpen: float = 0.0
    blend: float = 1.0
    head: Head | None = None
    scale: float = field(init=False)  # the matrix' norm, below whose rounding a product is nothing

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(torch.linalg.matrix_norm(self.matrix)))

    @property
    def rank(self) -> int:
        """Dimensions of the representations: r, K, or r + K; or of the head's output."""
        if self.head is not None:
            return int(self.head.out_bias.shape[0])
        words, rank = self.words.shape
        return (words if self.sharpen else 0) + (rank if not self.sharpen or self.blend < 1.0 else 0)

    def to(self, device: torch.device) -> Projection:
        """The same on another device."""
        matrix, offset, words = (each.to(device) for each in (self.matrix, self.offset, self.words))
        return replace(self, matrix=matrix, offset=offset, words=words, head=self.head and self.head.to(device))


def on_device(stored: StoredProjection, device: torch.device | str = "cpu") -> Projection:
    """Bring a stored projection to a torch device."""
    matrix, offset, words = (torch.tensor(each) for each in (stored.matrix, stored.offset, stored.words))
    head = None if stored.head is None else Head(*map(torch.tensor, stored.head))
    made = Projection(matrix, offset, words, stored.sharpen, stored.blend, head)
    return made.to(torch.device(device))


def conditional_representation(image_embeddings: Tensor, projection: Projection) -> Tensor:
    """The criterion's view of each image: rows of z = I·P + b at unit length, with their sharpened form; or the head's.

    The sharpened form of a row is softmax(z·Uᵀ / (temperature · std)) over the K words, std being that of z·Uᵀ:
    standardising makes a temperature mean the same for every encoder, whose similarities differ in scale. The two,
    of unit length each, stand beside each other with weights that make the cosine of the whole
    (1 - blend)·cosine of the similarities + blend·cosine of the sharpened forms.

    Args:
        image_embeddings: I, [N, d], any float type (half precision is projected in float32).
        projection: on the same device.

    Returns:
        float32 [N, rank], unit rows; a row of zeros where an image has no part in the words' span.
    """
    rows = _conditional(image_embeddings, projection)
    return rows if projection.head is None else projection.head(rows)


def _conditional(image_embeddings: Tensor, projection: Projection) -> Tensor:
    """The representation in front of a head: [N, r], [N, K] or [N, r + K]."""
    rows = image_embeddings.to(torch.float32) @ projection.matrix + projection.offset
    lengths = rows.norm(dim=-1, keepdim=True)
    # what is left of an embedding that is orthogonal to all words is rounding, not a direction
    something = lengths > _NOTHING * projection.scale
    similar: Tensor = rows / lengths.clamp(min=1e-30) * something
    if not projection.sharpen:
        return similar
    by_words = similar @ projection.words.T
    deviation = by_words.std(dim=-1, correction=0, keepdim=True)
    told_apart = something & (deviation > _NOTHING)
    weights = functional.softmax(by_words / (projection.sharpen * deviation.clamp(min=1e-30)), dim=-1)
    sharp: Tensor = functional.normalize(weights, dim=-1) * told_apart
    if projection.blend == 1.0:
        return sharp
    share = projection.blend
    blended = torch.cat([(1.0 - share) ** 0.5 * similar, share**0.5 * sharp], dim=-1)
    return functional.normalize(blended, dim=-1)


def cosine_similarity(queries: Tensor, candidates: Tensor) -> Tensor:
    """Cosine of every query [Q, r] (or [r]) with every candidate [N, r], whose rows are of unit length.

    Returns:
        float32 [Q, N] (or [N]) in [-1, 1], but for rounding.
    """
    return queries @ candidates.T
