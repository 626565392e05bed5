"""What a search finds."""

from __future__ import annotations

from dataclasses import dataclass

from crl_qdrant.points import Payload, PointId

__all__ = ["Hit"]


@dataclass(slots=True)
class Hit:
    """A point that was found.

    Attributes:
        id: the point's id.
        score: cosine in [-1, 1] between query and point: of their conditional representations where a criterion
            was given, else of their raw embeddings.
        payload: the point's payload, or the part of it that was asked for; None where none was.
    """

    id: PointId
    score: float
    payload: Payload | None
