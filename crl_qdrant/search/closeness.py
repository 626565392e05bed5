"""A scale from 0 to 1 for similarities, spread over those that the collection's own points have.

share(s) is the share of random pairs of points that are at least as similar as s, and closeness(s) is
min(-log10(share) / 5, 1): 0.2 is as alike as one random pair in ten, 0.4 as one in a hundred, 0.6 as one in a thousand.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.criteria.space import Space
from crl_qdrant.search.memory.resident import Resident

__all__ = ["Closeness", "Scale"]

Scores = npt.NDArray[np.float64]

_DECADES: Final = 5.0  # of shares that the scale spans
_STEP: Final = 0.05
_FEWEST_PAIRS: Final = 10  # behind the rarest similarity that is read off the sample
_FEWEST_POINTS: Final = 10


@dataclass(frozen=True, slots=True)
class Scale:
    """The closeness of one space.

    Attributes:
        similarities: [m], rising, at shares 10^-(0, 0.05, …) of the random pairs.
        slope: beyond the last one the share falls as (1 - s)^slope.
    """

    similarities: Scores
    slope: float

    @classmethod
    def of(cls, rows: Float32Array) -> Scale | None:
        """The scale of a sample's representations [n, r], unit rows; None for fewer than 10 points."""
        if len(rows) < _FEWEST_POINTS:
            return None
        pairs = np.sort((rows @ rows.T)[np.triu_indices(len(rows), 1)].astype(np.float64))
        rarest = np.log10(len(pairs) / _FEWEST_PAIRS)
        exponents = np.arange(0.0, min(4.0, rarest) + 1e-9, _STEP)
        similarities = np.quantile(pairs, 1.0 - 10.0**-exponents)
        # the fall over the last decade goes on
        start = max(len(exponents) - 1 - round(1.0 / _STEP), 0)
        left = np.maximum(1.0 - similarities[[start, -1]], 1e-12)
        fall = np.log10(left[0]) - np.log10(left[1])
        slope = (exponents[-1] - exponents[start]) / fall if fall > 1e-9 else np.inf
        return cls(np.maximum.accumulate(similarities), float(slope))

    def closeness(self, similarities: Scores) -> Scores:
        """Closeness [n] in [0, 1] of similarities [n]."""
        known = self.similarities
        exponents = np.interp(similarities, known, np.arange(len(known)) * _STEP)
        last = (len(known) - 1) * _STEP
        beyond = np.maximum(1.0 - known[-1], 1e-12) / np.maximum(1.0 - similarities, 1e-12)
        with np.errstate(divide="ignore", invalid="ignore"):
            further = np.where(beyond > 1.0, last + self.slope * np.log10(beyond), exponents)
        found: Scores = np.clip(np.where(similarities > known[-1], further, exponents) / _DECADES, 0.0, 1.0)
        return found


class Closeness:
    """The scales of one collection's spaces, made from its sample when they are first needed."""

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._lock = threading.Lock()
        self._scales: dict[str, tuple[Float32Array, Scale | None]] = {}

    def of(self, space: Space, similarities: Scores) -> Scores:
        """Closeness [n] of cosines [n] in a space; NaN where the collection has fewer than 10 points."""
        scale = self._scale(space)
        return np.full(len(similarities), np.nan) if scale is None else scale.closeness(similarities)

    def _scale(self, space: Space) -> Scale | None:
        with self._lock:
            rows = self._resident.sample_in(space)
            known = self._scales.get(space.key)
            if known is None or known[0] is not rows:
                if len(self._scales) > 32:
                    self._scales.clear()
                known = self._scales[space.key] = (rows, Scale.of(rows))
            return known[1]
