"""Geometry of a criterion's words: effective rank, common part, overlap with other criteria."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.projection.build import leading_directions

__all__ = ["LEADING", "Overlap", "common_share", "effective_rank", "overlap"]

LEADING: Final = 5
"""Directions of each criterion that an overlap compares: as many as `suppress` takes out by default."""


class Overlap(NamedTuple):
    """Overlap of two criteria's words: cosines of the principal angles between their leading directions.

    Attributes:
        mean: mean squared cosine over the smaller span's directions, in [0, 1]: 0 nothing, 1 all of it.
        largest: the largest cosine, in [0, 1].
    """

    mean: float
    largest: float


def effective_rank(texts: Float32Array) -> float:
    """The number of directions in which words differ: exp of the entropy of the squared singular values' shares.

    Roy and Vetterli's effective rank (EUSIPCO 2007), of the squared values, so that shares are shares of the variance.

    Args:
        texts: T, [K, d], unit rows; their mean is taken out first.

    Returns:
        From 1 to min(K - 1, d); 0 where all words are the same.
    """
    centred = texts.astype(np.float64) - texts.mean(axis=0, dtype=np.float64)
    variances = np.square(np.linalg.svd(centred, compute_uv=False))
    if variances.sum() < 1e-12:
        return 0.0
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def common_share(texts: Float32Array) -> float:
    """The share of the words that is common to all: |mean of T|² in [0, 1], T [K, d] with unit rows."""
    return float(np.square(texts.mean(axis=0, dtype=np.float64)).sum())


def overlap(ours: Float32Array, theirs: Float32Array) -> Overlap:
    """Overlap of up to `LEADING` leading directions of two criteria's centred words [K, d]."""
    first, second = (leading_directions([texts], LEADING) for texts in (ours, theirs))
    # both have orthonormal rows, so these are the cosines of the principal angles; rounding may take one above 1
    cosines = np.linalg.svd(first @ second.T, compute_uv=False).clip(max=1.0)
    if not len(cosines):
        return Overlap(0.0, 0.0)
    return Overlap(float(np.square(cosines).mean()), float(cosines.max()))
