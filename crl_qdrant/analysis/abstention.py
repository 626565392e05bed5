"""Items that no example is near to: better left without a label than given the nearest of wrong ones."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array

__all__ = ["Examples", "is_far"]

_NEAREST: Final = 3  # examples of the class
_AROUND: Final = 10  # items of the sample that an item's surroundings are made of
_LOST: Final = 0.08  # share of the examples themselves, each left out, that would be called far
_SAME: Final = 1 - 1e-6  # cosine above which an item of the sample is the item itself
_AT_ONCE: Final = 4096


class Examples(NamedTuple):
    """Labelled items: representations [E, r], unit rows, and their classes, int64 [E], numbers from 0."""

    rows: Float32Array
    classes: npt.NDArray[np.int64]


def is_far(
    rows: Float32Array, classes: npt.NDArray[np.int64], examples: Examples, sample: Float32Array
) -> npt.NDArray[np.bool_] | None:
    """Tell which items lie too far from the examples of the class that they were given.

    An item is as near as its mean cosine to the three nearest examples of its class exceeds its mean cosine to the ten
    nearest items of the sample: in a dense region an example must be nearer than in a sparse one. The bar is the 8 %
    quantile of what the examples themselves reach, each left out, so no label of other classes is needed.

    Args:
        rows: N items, [N, r], unit rows.
        classes: the class of each, int64 [N].
        examples: E labelled items.
        sample: some of the collection's items, [n, r], unit rows.

    Returns:
        bool [N]; None if no class has two examples, since there is nothing to set the bar by.
    """
    several = np.flatnonzero(np.bincount(examples.classes)[examples.classes] >= 2)
    if not len(several):
        return None
    of_examples = Examples(examples.rows[several], examples.classes[several])
    bar = np.quantile(_nearness(*of_examples, examples, sample, left_out=several), _LOST)
    far = np.empty(len(rows), dtype=np.bool_)
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        far[part] = _nearness(rows[part], classes[part], examples, sample) < bar
    return far


def _nearness(
    rows: Float32Array,
    classes: npt.NDArray[np.int64],
    examples: Examples,
    sample: Float32Array,
    *,
    left_out: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float64]:
    """Nearness [N] of items to their class, beside their nearness to the items around them."""
    cosines = (rows @ examples.rows.T).astype(np.float64)
    cosines[classes[:, None] != examples.classes] = np.nan
    if left_out is not None:
        cosines[np.arange(len(rows)), left_out] = np.nan
    nearest = -np.sort(-cosines, axis=1)[:, :_NEAREST]  # NaN comes last
    return np.asarray(np.nanmean(nearest, axis=1) - _surroundings(rows, sample))


def _surroundings(rows: Float32Array, sample: Float32Array) -> npt.NDArray[np.float64]:
    """Mean cosine [N] to the nearest items of the sample, the item itself left out."""
    cosines = (rows @ sample.T).astype(np.float64)
    cosines[cosines > _SAME] = -1.0
    number = min(_AROUND, len(sample))
    return np.asarray(np.partition(cosines, len(sample) - number, axis=1)[:, -number:].mean(axis=1))
