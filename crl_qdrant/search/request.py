"""A query resolved: what to be like, in which spaces, by which plan; and candidates in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.search.query import Query
from crl_qdrant.search.results import Plan
from crl_qdrant.search.strategies import Aim
from crl_qdrant.search.target import Target

__all__ = ["Asked", "Ranked"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with everything about it that does not depend on the candidates.

    Attributes:
        query: as the user gave it.
        target: what to be like and unlike.
        aims: what is looked for, by the name of its space.
        weights: of the spaces, by name.
        modifier: the mean embedding [d] of the modifier's phrasings; None without a modifier.
        plan: how it is answered.
    """

    query: Query
    target: Target
    aims: dict[str, Aim]
    weights: dict[str, float]
    modifier: Float32Array | None
    plan: Plan

    @property
    def main(self) -> Aim:
        """What is looked for in the space that weighs most."""
        return self.aims[max(self.weights, key=lambda name: self.weights[name])]

    @property
    def is_plain(self) -> bool:
        """One space and no modifier: the order is that of one cosine."""
        return len(self.aims) == 1 and self.modifier is None and next(iter(self.weights.values())) > 0

    @property
    def needs_candidates(self) -> bool:
        """Whether more is to be done than to find the nearest."""
        return bool(self.query.diversity or self.query.group_by or self.query.explain)

    @property
    def end(self) -> int:
        """Hits up to the last one that is asked for."""
        return self.query.offset + self.query.limit


@dataclass(slots=True)
class Ranked:
    """Candidates, best first: their scores [n], and the cosines [n] by space that the scores were made of."""

    ids: list[PointId]
    scores: npt.NDArray[np.float64]
    parts: dict[str, npt.NDArray[np.float64]]

    def at(self, positions: Sequence[int] | range | npt.NDArray[np.intp]) -> Ranked:
        """Those at some positions, in that order."""
        chosen = np.asarray(positions, dtype=np.intp)
        parts = {name: values[chosen] for name, values in self.parts.items()}
        return Ranked([self.ids[each] for each in chosen], self.scores[chosen], parts)
