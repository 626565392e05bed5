"""Scores of several criteria -> one order; pure functions over arrays of candidates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId

__all__ = ["composed", "mean_direction", "most_diverse", "ranking", "weighted"]

Scores = npt.NDArray[np.float64]


def mean_direction(like: Float32Array, unlike: Float32Array) -> Float32Array:
    """The direction [r] that hits should have, of unit length, from unit rows: zeros where examples cancel out.

    The mean of `like` [p, r]; with `unlike` [n, r], twice that mean less theirs, as Qdrant's average-vector
    recommendation has it.
    """
    if len(like) == 1 and not len(unlike):
        only: Float32Array = like[0]
        return only
    direction = like.mean(axis=0)
    if len(unlike):
        direction = 2 * direction - unlike.mean(axis=0)
    length = np.linalg.norm(direction)
    return np.asarray(direction / length if length > 1e-7 else np.zeros_like(direction), dtype=np.float32)


def weighted(scores: dict[str, Scores], weights: dict[str, float]) -> Scores:
    """Weighted sum [n] of each criterion's cosines [n], standardised over the candidates so that scales compare.

    A criterion in which all candidates are the same distinguishes none, and counts for nothing.
    """
    total = np.zeros(len(next(iter(scores.values()))))
    for name, values in scores.items():
        deviation = values.std()
        if deviation > 1e-9:
            total += weights[name] * (values - values.mean()) / deviation
    return total


def composed(criterion: Scores, modifier: Scores, weight: float) -> Scores:
    """Composed retrieval's score [n] (arXiv 2510.04564, section C.3 with the reference code's normalisation).

    w·S_criterion + S_modifier, where each similarity [n] is divided by its L2 norm over the candidates.
    """
    return weight * _over_norm(criterion) + _over_norm(modifier)


def _over_norm(values: Scores) -> Scores:
    length = np.linalg.norm(values)
    return values / length if length > 0.0 else values


def _id_order(ids: list[PointId]) -> npt.NDArray[np.intp]:
    """Positions of the ids in their own order: numbers first, then UUIDs."""
    order = sorted(range(len(ids)), key=lambda at: (isinstance(ids[at], str), ids[at]))
    return np.array(order, dtype=np.intp)


def ranking(scores: Scores, ids: list[PointId]) -> npt.NDArray[np.intp]:
    """Positions, best score first; equal scores in the order of their ids."""
    by_id = _id_order(ids)
    return np.asarray(by_id[np.argsort(-scores[by_id], kind="stable")])


def most_diverse(scores: Scores, representations: Float32Array, *, diversity: float, limit: int) -> list[int]:
    """Maximal marginal relevance: positions of at most `limit` candidates, chosen one by one.

    Each is the best of (1 - diversity)·score - diversity·(greatest cosine to those chosen before it), where scores are
    scaled to [0, 1] so that they compare with cosines.

    Args:
        scores: [n], candidates best first.
        representations: [n, r], unit rows.
        diversity: 0 keeps the order, near 1 spreads as far as it can.
        limit: how many to choose.
    """
    spread = float(scores.max() - scores.min()) if len(scores) else 0.0
    relevance = (scores - scores.min()) / spread if spread > 0 else np.ones(len(scores))
    closest = np.zeros(len(scores))
    chosen: list[int] = []
    left = np.ones(len(scores), dtype=bool)
    while len(chosen) < min(limit, len(scores)):
        value = np.where(left, (1 - diversity) * relevance - diversity * closest, -np.inf)
        best = int(value.argmax())
        chosen.append(best)
        left[best] = False
        similar = representations @ representations[best]
        closest = similar if len(chosen) == 1 else np.maximum(closest, similar)
    return chosen
