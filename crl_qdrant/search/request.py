"""A query resolved: the goals of a search, and candidates in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.space import Space
from crl_qdrant.search.query import Query
from crl_qdrant.search.results import Plan

__all__ = ["MODIFIER", "Goal", "Ranked", "Request"]

MODIFIER = "modifier"
"""The modifier's name among the scores of a hit."""

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """A direction that hits should have in one space, and how much it counts.

    Attributes:
        space: where points are compared.
        direction: float32 [r], of unit length; the modifier's is the mean of its phrasings, which is shorter.
        weight: below 0 means unlike.
    """

    space: Space
    direction: Float32Array
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A query with everything about it that does not depend on the candidates.

    Attributes:
        query: as the user gave it.
        like: unit embeddings [p, d] that hits should be like, p >= 1.
        unlike: unit embeddings [n, d]; n may be 0.
        excluded: stored points that were named as examples, which are no hits.
        goals: one for each criterion, or one in the raw space.
        modifier: the goal of the modifier's text, in the raw space; None without a modifier.
        plan: how the search is answered.
    """

    query: Query
    like: Float32Array
    unlike: Float32Array
    excluded: tuple[PointId, ...]
    goals: tuple[Goal, ...]
    modifier: Goal | None
    plan: Plan

    @property
    def main(self) -> Goal:
        """The goal that weighs most."""
        return max(self.goals, key=lambda goal: goal.weight)

    @property
    def every_goal(self) -> list[Goal]:
        """The criteria's goals and the modifier's."""
        return [*self.goals] if self.modifier is None else [*self.goals, self.modifier]

    @property
    def is_plain(self) -> bool:
        """Whether the order is that of one cosine."""
        return len(self.goals) == 1 and self.modifier is None and self.goals[0].weight > 0

    @property
    def end(self) -> int:
        """Number of hits up to the last one that is asked for."""
        return self.query.offset + self.query.limit


@dataclass(slots=True)
class Ranked:
    """Candidates, best first.

    Attributes:
        ids: of n points.
        scores: [n], what they are ordered by.
        parts: the cosines [n] that the scores were made of, by the goal's name.
    """

    ids: list[PointId]
    scores: Scores
    parts: dict[str, Scores]

    def at(self, positions: Sequence[int] | range | npt.NDArray[np.intp]) -> Ranked:
        """The candidates at some positions, in that order."""
        chosen = np.asarray(positions, dtype=np.intp)
        parts = {name: values[chosen] for name, values in self.parts.items()}
        return Ranked([self.ids[each] for each in chosen], self.scores[chosen], parts)

    @classmethod
    def of_one(cls, found: list[tuple[PointId, float]], name: str) -> Ranked:
        """Points with their scores in one space."""
        scores = np.array([score for _, score in found], dtype=np.float64)
        return cls([point for point, _ in found], scores, {name: scores})
