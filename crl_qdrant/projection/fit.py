"""The parts of a projection that are found on a sample of images: shares, and the directions that are kept.

Everything here is training-free: no label is looked at.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.projection.stored import StoredProjection

__all__ = ["FEWEST_IMAGES", "auto_blend", "auto_rest", "auto_temperature", "lift", "principal_directions"]

FEWEST_IMAGES: Final = 256
"""Images below which a sample counts as none: its directions would be those of a few products."""

_HALF_LIFT: Final = 4.0  # where the sharpened form has half of what is compared by words
_MOST_REST: Final = 0.8
_WORDS: Final = 123  # for which the automatic temperature is 1
_BLOCK: Final = 1024
_MOST_ROWS: Final = 4096  # for directions, which need fewer than the shares do
_LARGE: Final = 512
_SPARE: Final = 16
_ITERATIONS: Final = 16

Float64Array = npt.NDArray[np.float64]


def lift(texts: Float64Array, images: Float64Array) -> float:
    """Measure how much more of the images' variance lies along the words than along random directions; 1 is chance.

    d·Σ(Xtᵀ)² / (Σt²·ΣX²), with X the centred images: 9 to 32 where words and images were made for each other, 3 for
    the names of garments with CLIP, 1.5 for names of objects of every kind.

    Args:
        texts: t, the edited words [K, d].
        images: a sample [n, d].
    """
    centred = images - images.mean(axis=0)
    whole = float(np.square(texts).sum() * np.square(centred).sum())
    if whole < 1e-12:  # all images are one
        return 0.0
    return float(texts.shape[1] * np.square(centred @ texts.T).sum() / whole)


def auto_temperature(words: int) -> float:
    """Return the automatic temperature for K >= 2 words: √(ln K / ln 123).

    The largest of K standard normal numbers is about √(2 ln K): so the top word stands out alike for any K.
    """
    return float(np.sqrt(np.log(words) / np.log(_WORDS)))


def auto_blend(found: float | None) -> float:
    """Return the sharpened form's share at this lift; without images one half."""
    return 0.5 if found is None else found / (found + _HALF_LIFT)


def auto_rest(found: float | None) -> float:
    """Return the plain image's share at this lift; without images none."""
    return 0.0 if found is None else _MOST_REST * max(0.0, 1.0 - found / _HALF_LIFT)


def principal_directions(projection: StoredProjection, rows: npt.NDArray[Any], dimensions: int) -> Float64Array:
    """Find the directions to keep of the rows' representations: orthonormal columns [width, dimensions or fewer].

    They are not centred first: inner products of what is kept are then close to the cosines of the whole.

    Args:
        projection: without a compression.
        rows: embeddings [n, d] of images, or of words that take their place.
        dimensions: how many at most.
    """
    gram = np.zeros((projection.full_width, projection.full_width))
    for start in range(0, min(len(rows), _MOST_ROWS), _BLOCK):
        block = projection.uncompressed(np.asarray(rows[start : start + _BLOCK], dtype=np.float64))
        gram += block.T @ block
    values, vectors = _leading(gram, dimensions)
    something = values > 1e-10 * max(float(values[0]), 1e-30)
    return np.ascontiguousarray(vectors[:, something])


def _leading(gram: Float64Array, number: int) -> tuple[Float64Array, Float64Array]:
    """The largest eigenvalues [number] of a symmetric matrix and their vectors [width, number].

    Of a large one by subspace iteration, with the same start each time: some seconds less for a thousand words.
    """
    basis = None
    if len(gram) > _LARGE:
        basis = np.random.default_rng(0).normal(size=(len(gram), number + _SPARE))
        for _ in range(_ITERATIONS):
            basis, _ = np.linalg.qr(gram @ basis)
    values, vectors = np.linalg.eigh(gram if basis is None else basis.T @ gram @ basis)
    leading = vectors[:, ::-1][:, :number]
    return values[::-1][:number], leading if basis is None else basis @ leading
