"""The mathematics of conditional representation learning, on any torch device. Knows no database.

T [K, d] are the unit text embeddings of a criterion's words, I [N, d] unit image embeddings. The paper
(arXiv 2510.04564, eq. 4) compares the rows of R = I Tᵀ by cosine. With the thin singular value
decomposition T = U S Vᵀ of rank r, R = (I V S) Uᵀ, and U has orthonormal columns, so the r columns of
I·P with P = V·S have exactly R's inner products and cosines.

Everything else that a criterion can ask for either edits T before that (its basis), or is done to the rows of R.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from crl_qdrant.projection.options import Directions, Options

__all__ = [
    "Head",
    "Projection",
    "basis",
    "conditional_representation",
    "cosine_similarity",
    "knee",
    "leading_directions",
    "projection_of",
]

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


def projection_of(
    text_embeddings: Tensor,
    options: Options,
    *,
    image_mean: Tensor | None = None,
    suppressed: Tensor | None = None,
) -> Projection:
    """The projection of a criterion.

    Args:
        text_embeddings: T, [K, d], unit rows, any float type and device.
        options: how T becomes a projection.
        image_mean: mean of the image embeddings [d], where `options.needs_images`.
        suppressed: orthonormal rows [m, d] of what is to be taken out of the images; None for nothing.

    Returns:
        The projection, on T's device; P's rank r is that of the edited T or less. r is 0 where that is zero, as one
        text is once its mean is taken out.
    """
    # The matrix is small and squared condition numbers are not: decompose in float64 (in the CPU's memory, since
    # not every device has float64).
    mean = None if image_mean is None else image_mean.detach().to("cpu", torch.float64)
    away = None if suppressed is None else suppressed.detach().to("cpu", torch.float64)
    texts = basis(text_embeddings.detach().to("cpu", torch.float64), options, image_mean=mean, suppressed=away)
    words, singular, directions = _decomposed(texts, energy=options.energy, rank=options.rank)
    matrix = directions * singular.pow(options.weighting)  # P, (d, r)
    offset = torch.zeros(matrix.shape[1], dtype=torch.float64)
    if options.center == "both" and not options.tangent and mean is not None:
        offset = -mean @ matrix
    device = text_embeddings.device

    def on_device(tensor: Tensor) -> Tensor:
        return tensor.to(device, torch.float32).contiguous()

    return Projection(on_device(matrix), on_device(offset), on_device(words), options.sharpen, options.blend)


def basis(
    text_embeddings: Tensor, options: Options, *, image_mean: Tensor | None = None, suppressed: Tensor | None = None
) -> Tensor:
    """T edited as the options say, [K, d], so that R = I Tᵀ is what they mean: edits of images are moved to the texts.

    Suppressing directions N in the images, (I - I·NᵀN) Tᵀ, is I (T - T·NᵀN)ᵀ; rotating the images by Q is rotating
    the texts by Qᵀ.
    """
    texts = text_embeddings
    if options.tangent:
        if image_mean is None:
            raise ValueError("the tangent form needs the mean of the images")
        texts = _in_tangent_space(texts, image_mean)
    elif options.center != "none":
        texts = texts - texts.mean(dim=0)
    if suppressed is not None:
        texts = texts - (texts @ suppressed.T) @ suppressed
    return texts


def _in_tangent_space(texts: Tensor, image_mean: Tensor) -> Tensor:
    """Texts mapped to the tangent space at their mean direction and centred, rotated to where the images are, [K, d].

    CLAY (arXiv 2604.11539): images are rotated by two reflections, image mean -> midpoint -> text mean, and then mapped
    to the tangent space. Up to a positive factor per image, which a cosine does not see, the logarithmic map takes out
    the component along the mean, and the texts have none: so only they need to be mapped.
    """
    mean = functional.normalize(texts.mean(dim=0), dim=0)
    along = (texts @ mean).clamp(-1.0, 1.0)
    angle = along.acos()
    # the limit of angle / sin(angle) at 0 is 1
    stretch = torch.where(angle > 1e-6, angle / angle.sin().clamp(min=1e-12), torch.ones_like(angle))
    tangent = stretch[:, None] * (texts - along[:, None] * mean)
    tangent = tangent - tangent.mean(dim=0)
    start = functional.normalize(image_mean, dim=0)
    midpoint = functional.normalize(start + mean, dim=0)
    # x·Q = reflected at the plane that swaps start and midpoint, then at that which swaps midpoint and mean; the
    # texts go the other way
    return _reflected(_reflected(tangent, mean - midpoint), midpoint - start)


def _reflected(rows: Tensor, normal: Tensor) -> Tensor:
    """Rows mirrored at the plane with this normal; as they are where it is zero."""
    length = normal.norm()
    if length < 1e-9:
        return rows
    unit = normal / length
    mirrored: Tensor = rows - 2.0 * (rows @ unit)[:, None] * unit
    return mirrored


def leading_directions(text_embeddings: Sequence[Tensor], number: Directions) -> Tensor:
    """Orthonormal rows [m, d], float64, that span the leading directions of several criteria's centred texts [K, d].

    Args:
        text_embeddings: one matrix for each criterion, at least one.
        number: directions of each criterion, or "knee".
    """
    found = []
    for texts in text_embeddings:
        rows = texts.detach().to("cpu", torch.float64)
        _, _, directions = _decomposed(rows - rows.mean(dim=0), energy=1.0, rank=number)
        found.append(directions.T)
    _, _, together = _decomposed(torch.cat(found), energy=1.0, rank=None)
    return together.T


def knee(singular: Tensor) -> int:
    """How many leading singular values come before the bend of their curve: the point of greatest curvature.

    Positions and values are scaled to [0, 1]; curvature is |y''| / (1 + y'²)^1.5 by finite differences.
    """
    if len(singular) < 3:
        return len(singular)
    values = singular / singular[0]
    step = 1.0 / (len(values) - 1)
    slope = (values[2:] - values[:-2]) / (2 * step)
    bend = (values[2:] - 2 * values[1:-1] + values[:-2]) / step**2
    curvature = bend.abs() / (1.0 + slope.square()).pow(1.5)
    return int(curvature.argmax()) + 2


def _decomposed(texts: Tensor, *, energy: float, rank: Directions | None) -> tuple[Tensor, Tensor, Tensor]:
    """The thin SVD's U [K, r], S [r] and V [d, r], less directions that are noise or beyond `energy` and `rank`."""
    words, singular, directions = torch.linalg.svd(texts, full_matrices=False)
    # T comes from float32 models: directions below its rounding are noise, which p <= 0 would blow up.
    noise = max(texts.shape) * torch.finfo(torch.float32).eps
    kept = int((singular > noise * max(float(singular[0]), 1e-3)).sum())
    if energy < 1.0 and kept:
        shares = singular[:kept].square().cumsum(0) / singular[:kept].square().sum()
        kept = min(kept, int((shares < energy - 1e-12).sum()) + 1)
    if rank is not None and kept:
        kept = min(kept, knee(singular[:kept]) if rank == "knee" else rank)
    return words[:, :kept], singular[:kept], directions[:kept].T


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
