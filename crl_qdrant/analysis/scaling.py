"""Feature scaling in front of a logistic regression (arXiv 2510.04564 and its code)."""

from __future__ import annotations

from typing import Final

import numpy as np

from crl_qdrant.common.arrays import Float32Array, unit_or_zero
from crl_qdrant.errors import InputError

__all__ = ["SCALINGS", "rescale"]

SCALINGS: Final = ("code", "paper", "unit")


def rescale(representations: Float32Array, scaling: str) -> Float32Array:
    """Scale features for the classifier in one of three ways; the paper's text and its code differ.

    "code" subtracts the mean of all values and divides each row by its own standard deviation, as the paper's code
    does with R. "paper" gives each column zero mean and unit variance, the usual reading of the paper's text. "unit"
    scales rows to unit length, as its code does with the raw embeddings.

    Args:
        representations: float [N, r].
        scaling: "code", "paper" or "unit".

    Raises:
        InputError: if the scaling is none of these.
    """
    if scaling == "unit":
        return unit_or_zero(representations)
    if scaling == "code":
        centred, spread = representations - representations.mean(), representations.std(axis=1, keepdims=True)
    elif scaling == "paper":
        centred, spread = representations - representations.mean(axis=0), representations.std(axis=0)
    else:
        raise InputError(f"`scaling` must be one of {', '.join(SCALINGS)}, got {scaling!r}")
    return np.asarray(centred / np.where(spread > 0, spread, 1), dtype=np.float32)
