"""Similarities made comparable: each by its mean and deviation over the collection's sample.

score(x) = Σ_g w_g · (s_g(x) - μ_g) / σ_g over the goals g. Here s_g(x) is x's cosine with the goal's direction; μ_g and
σ_g are its mean and standard deviation over the sample. The sample depends on the collection's points alone. So a score
depends on no limit, offset, filter, strategy or shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.request import Goal, MODIFIER, Request

__all__ = ["Standard", "goal_names", "parts_of"]

Scores = npt.NDArray[np.float64]

_NOTHING: Final = 1e-9  # a deviation in which nothing is told apart
_DIGITS: Final = 7


def goal_names(request: Request) -> dict[str, Goal]:
    """The goals by the names that they have among the scores of a hit."""
    named = {goal.space.name: goal for goal in request.goals}
    return named if request.modifier is None else {**named, MODIFIER: request.modifier}


def parts_of(request: Request, embeddings: Float32Array) -> dict[str, Scores]:
    """Exact cosines [n] of unit embeddings [n, d] with each goal, by name, computed in float64.

    They are rounded to 7 digits, and no matrix product adds them up: what float64 rounds away depends on the other
    rows, and equal embeddings must have equal scores.
    """
    exact = embeddings.astype(np.float64)
    parts = {}
    for name, goal in goal_names(request).items():
        rows = goal.space.represent_few(exact)
        parts[name] = np.round((rows * goal.direction).sum(axis=1), _DIGITS).clip(-1.0, 1.0)
    return parts


class Standard:
    """The scales of one request's goals.

    Args:
        request: whose goals.
        resident: gives the sample.
    """

    def __init__(self, request: Request, resident: Resident) -> None:
        self._goals = goal_names(request)
        self._on_sample = {
            name: resident.sample_in(goal.space).astype(np.float64) @ goal.direction
            for name, goal in self._goals.items()
        }
        self._scales = {
            name: (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)
            for name, values in self._on_sample.items()
        }

    def score(self, parts: Mapping[str, Scores]) -> Scores:
        """Scores [n] of points with these cosines [n] by goal; a goal in which the sample is all alike counts 0."""
        total = np.zeros(len(next(iter(parts.values()))))
        for name, values in parts.items():
            mean, deviation = self._scales[name]
            if deviation > _NOTHING:
                total += self._goals[name].weight * (values - mean) / deviation
        return total

    def terms(self) -> list[tuple[Goal, Float32Array]]:
        """Goals with directions [1, r] whose products add up to the score, but for a constant."""
        found = []
        for name, goal in self._goals.items():
            _, deviation = self._scales[name]
            if deviation > _NOTHING:
                direction = goal.direction * (goal.weight / deviation)
                found.append((goal, np.asarray(direction[None], dtype=np.float32)))
        return found

    def of_sample(self) -> Scores:
        """The sample's own scores [n]."""
        return self.score(self._on_sample)
