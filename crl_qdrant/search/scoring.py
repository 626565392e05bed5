"""Scores of several goals -> one order; pure functions over arrays of candidates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array, Rows
from crl_qdrant.common.points import PointId

__all__ = ["add_examples", "compose_as_paper", "id_key", "mean_direction", "most_diverse", "ranking"]

Scores = npt.NDArray[np.float64]


def mean_direction(like: Rows, unlike: Rows) -> Rows:
    """The direction [r] that hits should have, of unit length, from unit rows: zeros where examples cancel out.

    The mean of `like` [p, r]; with `unlike` [n, r], twice that mean less theirs, as Qdrant's average-vector
    recommendation has it.
    """
    if len(like) == 1 and not len(unlike):
        only: Rows = like[0]
        return only
    direction = like.mean(axis=0)
    if len(unlike):
        direction = 2 * direction - unlike.mean(axis=0)
    length = np.linalg.norm(direction)
    found: Rows = (direction / length if length > 1e-7 else np.zeros_like(direction)).astype(like.dtype)
    return found


def add_examples(direction: Rows, rows: Rows) -> Rows:
    """A unit direction [r] moved towards unit rows [k, r], each weighted by its cosine: unit(q + Σⱼ max(cosⱼ, 0) rⱼ).

    Average query expansion with weights (Chum et al., "Total Recall", ICCV 2007; Radenović et al., arXiv 1711.02512).
    """
    weights = np.maximum(rows.astype(np.float64) @ direction, 0.0)
    moved = direction + weights @ rows
    found: Rows = (moved / np.linalg.norm(moved)).astype(direction.dtype)
    return found


def compose_as_paper(criterion: Scores, modifier: Scores, weight: float) -> Scores:
    """Composed retrieval's score [n] (arXiv 2510.04564, section C.3 with the reference code's normalisation).

    w·S_criterion + S_modifier, where each similarity [n] is divided by its L2 norm over the candidates.
    """
    return weight * _over_norm(criterion) + _over_norm(modifier)


def _over_norm(values: Scores) -> Scores:
    length = np.linalg.norm(values)
    return values / length if length > 0.0 else values


def id_key(point: PointId) -> tuple[bool, PointId]:
    """A key that sorts ids: numbers first, then UUIDs."""
    return isinstance(point, str), point


def ranking(scores: Scores, ids: list[PointId]) -> npt.NDArray[np.intp]:
    """Positions, best score first; equal scores in the order of their ids."""
    by_id = np.array(sorted(range(len(ids)), key=lambda at: id_key(ids[at])), dtype=np.intp)
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
