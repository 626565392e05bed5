"""Database-side feature augmentation: a representation averaged with its nearest in the same space.

r'ᵢ = unit(rᵢ + Σⱼ max(cosᵢⱼ, 0)³ rⱼ) over the k nearest j of i. That a stored vector is averaged with its neighbours is
from Turcot & Lowe (ICCV Workshops 2009) and Arandjelović & Zisserman (CVPR 2012); the weights are those of alpha query
expansion, alpha = 3 (Radenović et al., TPAMI 2018, arXiv 1711.02512).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array, unit_or_zero

__all__ = ["smooth_among", "smooth_rows", "smooth_with"]

_EXPONENT: Final = 3
_FLOATS_AT_ONCE: Final = 2**24


def smooth_rows(rows: Float32Array, k: int) -> Float32Array:
    """Average each of unit rows [N, r] with its k nearest among the others, float32 [N, r], unit rows.

    Exact, in N²·r multiplications, block by block.
    """
    return smooth_among(rows, rows, np.arange(len(rows)), k)


def smooth_among(rows: Float32Array, every: Float32Array, own: npt.NDArray[np.int64], k: int) -> Float32Array:
    """Average each of unit rows [n, r] with its k nearest of `every`, float32 [n, r], unit rows.

    Args:
        rows: what is averaged.
        every: unit rows [N, r] to find neighbours among; zeros are no neighbours.
        own: [n], the positions of the rows' own points in `every`, which are left out; -1 for none.
        k: at least 1.
    """
    number = min(k, len(every))
    if not number:
        return rows
    size = max(1, _FLOATS_AT_ONCE // max(len(every), number * rows.shape[1]))
    smoothed = np.empty_like(rows)
    for start in range(0, len(rows), size):
        block, mine = rows[start : start + size], own[start : start + size]
        cosines = block @ every.T
        stored = np.flatnonzero(mine >= 0)
        cosines[stored, mine[stored]] = -np.inf
        nearest = np.argpartition(cosines, len(every) - number, axis=1)[:, len(every) - number :]
        others = np.isfinite(np.take_along_axis(cosines, nearest, axis=1))
        smoothed[start : start + size] = smooth_with(block, every[nearest] * others[:, :, None])
    return smoothed


def smooth_with(rows: Float32Array, neighbours: Float32Array) -> Float32Array:
    """Average each of unit rows [n, r] with its neighbours [n, k, r], float32 [n, r], unit rows.

    A neighbour counts by the third power of its cosine; one of zeros, or with a cosine below 0, does not count.
    """
    cosines = np.einsum("nkr,nr->nk", neighbours, rows)
    weights = np.maximum(cosines, 0.0) ** _EXPONENT
    return unit_or_zero(rows + np.einsum("nk,nkr->nr", weights, neighbours))
