"""From a criterion's words to its projection, in NumPy: T -> P. Knows no database.

T [K, d] are the unit text embeddings of a criterion's words, I [N, d] unit image embeddings. The paper
(arXiv 2510.04564, eq. 4) compares the rows of R = I Tᵀ by cosine. With the thin singular value
decomposition T = U S Vᵀ of rank r, R = (I V S) Uᵀ, and U has orthonormal columns. So the r columns of
I·P with P = V·S have exactly R's inner products and cosines.

The options of a criterion either edit T before that (its basis), or are applied to the rows of R (`stored.py`); what
of these is found on images is in `fit.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.projection.fit import auto_blend, auto_rest, auto_temperature, FEWEST_IMAGES, lift, principal_directions
from crl_qdrant.projection.options import Directions, Options
from crl_qdrant.projection.stored import StoredProjection

__all__ = ["basis", "build_projection", "knee", "leading_directions"]

Float64Array = npt.NDArray[np.float64]


def build_projection(
    text_embeddings: npt.NDArray[Any],
    options: Options,
    *,
    images: npt.NDArray[Any] | None = None,
    suppressed: npt.NDArray[Any] | None = None,
) -> StoredProjection:
    """Build the projection of a criterion.

    Args:
        text_embeddings: T, [K, d], unit rows, any float type.
        options: how T becomes a projection.
        images: a sample of the collection's image embeddings [n, d], if `options.reads_images` and there are any. Their
            mean is taken from any number; "auto" and `dimensions` are fitted to at least `FEWEST_IMAGES`.
        suppressed: orthonormal rows [m, d] to take out of the images; None for nothing.

    Returns:
        The projection. The rank r of P is that of the edited T, or less. r is 0 if that is zero, as one text is once
        its mean is taken out.
    """
    # the matrix is small, and squared condition numbers are not: decompose in float64
    given = np.asarray(text_embeddings, dtype=np.float64)
    sample = None if images is None or not len(images) else np.asarray(images, dtype=np.float64)
    mean = None if sample is None else sample.mean(axis=0)
    away = None if suppressed is None else np.asarray(suppressed, dtype=np.float64)
    texts = basis(given, options, image_mean=mean, suppressed=away)
    words, singular, directions = _decompose(texts, energy=options.energy, rank=options.rank)
    matrix = directions * singular**options.weighting  # P, (d, r)
    offset = np.zeros(matrix.shape[1])
    if options.center == "both" and not options.tangent and mean is not None:
        offset = -mean @ matrix
    enough = None if sample is None or len(sample) < FEWEST_IMAGES else sample
    made = _weighted(StoredProjection(_kept(matrix), _kept(offset), _kept(words)), options, texts, enough)
    return made if not matrix.shape[1] else _compressed(made, options, given, enough)


def _weighted(
    bare: StoredProjection, options: Options, texts: Float64Array, images: Float64Array | None
) -> StoredProjection:
    """The projection with temperature and shares: fixed, or those that the images' lift gives."""
    found = None
    if images is not None and (options.blends_by_lift or options.rest == "auto"):
        found = lift(texts, images)
    sharpen = auto_temperature(len(texts)) if options.sharpen == "auto" else options.sharpen
    blend = auto_blend(found) if options.blend == "auto" else options.blend
    # the plain image would bring back what is suppressed
    rest = (0.0 if options.suppress else auto_rest(found)) if options.rest == "auto" else options.rest
    if images is None:  # whose mean it is told from
        rest = 0.0
    undecided = options.blends_by_lift or options.rest not in ((0.0, "auto") if options.suppress else (0.0,))
    return replace(
        bare,
        sharpen=sharpen,
        blend=blend,
        rest=rest,
        image_mean=_kept(images.mean(axis=0)) if images is not None and rest else None,
        lift=found,
        awaits_images=undecided and images is None,
    )


def _compressed(
    whole: StoredProjection, options: Options, texts: Float64Array, images: Float64Array | None
) -> StoredProjection:
    """The projection with at most `options.dimensions` floats; without images, those that the words differ in most."""
    if options.dimensions is None or whole.full_width <= options.dimensions:
        return whole
    directions = principal_directions(whole, texts if images is None else images, options.dimensions)
    return replace(whole, compression=_kept(directions), awaits_images=images is None)


def _kept(array: Float64Array) -> Float32Array:
    return np.ascontiguousarray(array, dtype=np.float32)


def basis(
    text_embeddings: Float64Array,
    options: Options,
    *,
    image_mean: Float64Array | None = None,
    suppressed: Float64Array | None = None,
) -> Float64Array:
    """T edited as the options say, [K, d], so that R = I Tᵀ is what they mean: edits of images are moved to the texts.

    Suppressing directions N in the images, (I - I·NᵀN) Tᵀ, is I (T - T·NᵀN)ᵀ; rotating the images by Q is rotating
    the texts by Qᵀ.
    """
    texts = text_embeddings
    if options.tangent:
        if image_mean is None:
            raise ValueError("the tangent form needs the mean of the images")
        texts = _to_tangent_space(texts, image_mean)
    elif options.center != "none":
        texts = texts - texts.mean(axis=0)
    if suppressed is not None:
        texts = texts - (texts @ suppressed.T) @ suppressed
    return texts


def _to_tangent_space(texts: Float64Array, image_mean: Float64Array) -> Float64Array:
    """Texts mapped to the tangent space at their mean direction and centred, rotated to where the images are, [K, d].

    CLAY (arXiv 2604.11539): images are rotated by two reflections, image mean -> midpoint -> text mean, and then mapped
    to the tangent space. Up to a positive factor per image, which a cosine does not see, the logarithmic map takes out
    the component along the mean, and the texts have none: so only they need to be mapped.
    """
    mean = _unit(texts.mean(axis=0))
    along = (texts @ mean).clip(-1.0, 1.0)
    angle = np.arccos(along)
    # the limit of angle / sin(angle) at 0 is 1
    stretch = np.where(angle > 1e-6, angle / np.maximum(np.sin(angle), 1e-12), 1.0)
    tangent = stretch[:, None] * (texts - along[:, None] * mean)
    tangent = tangent - tangent.mean(axis=0)
    start = _unit(image_mean)
    midpoint = _unit(start + mean)
    # x·Q = reflected at the plane that swaps start and midpoint, then at that which swaps midpoint and mean; the
    # texts go the other way
    return _reflect(_reflect(tangent, mean - midpoint), midpoint - start)


def _reflect(rows: Float64Array, normal: Float64Array) -> Float64Array:
    """Rows mirrored at the plane with this normal; as they are where it is zero."""
    length = float(np.linalg.norm(normal))
    if length < 1e-9:
        return rows
    unit = normal / length
    mirrored: Float64Array = rows - 2.0 * (rows @ unit)[:, None] * unit
    return mirrored


def _unit(vector: Float64Array) -> Float64Array:
    scaled: Float64Array = vector / np.linalg.norm(vector)
    return scaled


def leading_directions(text_embeddings: Sequence[npt.NDArray[Any]], number: Directions) -> Float64Array:
    """Orthonormal rows [m, d], float64, that span the leading directions of several criteria's centred texts [K, d].

    Args:
        text_embeddings: one matrix for each criterion, at least one.
        number: directions of each criterion, or "knee".
    """
    found = []
    for texts in text_embeddings:
        rows = np.asarray(texts, dtype=np.float64)
        _, _, directions = _decompose(rows - rows.mean(axis=0), energy=1.0, rank=number)
        found.append(directions.T)
    _, _, together = _decompose(np.concatenate(found), energy=1.0, rank=None)
    return together.T


def knee(singular: Float64Array) -> int:
    """Count the leading singular values before the bend of their curve, the point of greatest curvature.

    Positions and values are scaled to [0, 1]; curvature is |y''| / (1 + y'²)^1.5 by finite differences.
    """
    if len(singular) < 3:
        return len(singular)
    values = singular / singular[0]
    step = 1.0 / (len(values) - 1)
    slope = (values[2:] - values[:-2]) / (2 * step)
    bend = (values[2:] - 2 * values[1:-1] + values[:-2]) / step**2
    curvature = np.abs(bend) / (1.0 + np.square(slope)) ** 1.5
    return int(curvature.argmax()) + 2


def _decompose(
    texts: Float64Array, *, energy: float, rank: Directions | None
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """The thin SVD's U [K, r], S [r] and V [d, r], less directions that are noise or beyond `energy` and `rank`."""
    words, singular, directions = np.linalg.svd(texts, full_matrices=False)
    # T comes from float32 models: directions below its rounding are noise, which p <= 0 would blow up.
    noise = max(texts.shape) * np.finfo(np.float32).eps
    kept = int((singular > noise * max(float(singular[0]), 1e-3)).sum())
    if energy < 1.0 and kept:
        shares = np.square(singular[:kept]).cumsum() / np.square(singular[:kept]).sum()
        kept = min(kept, int((shares < energy - 1e-12).sum()) + 1)
    if rank is not None and kept:
        kept = min(kept, knee(singular[:kept]) if rank == "knee" else rank)
    return words[:, :kept], singular[:kept], directions[:kept].T
