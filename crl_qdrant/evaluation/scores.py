"""One figure of a table, and what it was measured over."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, pstdev

__all__ = ["Score"]


@dataclass(frozen=True, slots=True)
class Score:
    """A measure in [0, 1] (ARI: at most 1).

    Attributes:
        values: one for each seed; a single one where nothing is drawn at random.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds: the figure that tables print."""
        return fmean(self.values)

    @property
    def std(self) -> float:
        """The standard deviation over the seeds (of the population); 0 for a single value."""
        return pstdev(self.values)
