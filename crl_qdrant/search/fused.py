"""A direction in the raw space for what is good by several goals at once and the best by none."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.search.memory.resident import Resident

__all__ = ["FusedDirections"]

_RIDGE: Final = 0.1  # share of the embeddings' mean variance


class FusedDirections:
    """Ridge regressions of scores on the sample's embeddings; their matrix is inverted once for each sample."""

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._lock = threading.Lock()
        self._fit: tuple[Float32Array, npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None

    def direction(self, scores: npt.NDArray[np.float64]) -> Float32Array | None:
        """The unit direction [d] whose products with the sample's embeddings fit these scores [n] best.

        v = (XᵀX + λI)⁻¹ Xᵀ y for the centred embeddings X [n, d]. None where no direction fits.
        """
        with self._lock:
            sample = self._resident.sample()
            if self._fit is None or self._fit[0] is not sample:
                rows = sample.astype(np.float64)
                rows -= rows.mean(axis=0)
                gram = rows.T @ rows
                gram[np.diag_indices(len(gram))] += _RIDGE * np.trace(gram) / len(gram) + 1e-12
                inverse = np.asarray(np.linalg.inv(gram), dtype=np.float64)
                self._fit = sample, rows, inverse
            _, rows, inverse = self._fit
        if len(rows) != len(scores):  # a point was written since they were scored
            return None
        direction = inverse @ (rows.T @ scores)
        length = np.linalg.norm(direction)
        return np.asarray(direction / length, dtype=np.float32) if length > 0.0 else None
