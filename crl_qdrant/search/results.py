"""What a search finds, how it went about it, and why a hit matched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crl_qdrant.common.points import Payload, PointId

__all__ = ["Explanation", "Hit", "Hits", "Plan", "WordShare"]


@dataclass(frozen=True, slots=True)
class WordShare:
    """What one word adds to the similarity of query and hit.

    Attributes:
        word: the word.
        share: its part of the score; negative where query and hit differ in it.
        query: how much more the query is of this word than the collection's average item.
        hit: the same for the hit.
    """

    word: str
    share: float
    query: float
    hit: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a hit has its score in one criterion: `common` and the shares of all words add up to it.

    Attributes:
        common: the part that any two items of the collection would have.
        words: every word's share of the rest, largest first.
    """

    common: float
    words: tuple[WordShare, ...]

    @property
    def matched(self) -> list[str]:
        """The words that both are more of than the average item, those that weigh most first."""
        return [each.word for each in self.words if each.share > 0 and each.query > 0 and each.hit > 0]


@dataclass(slots=True)
class Hit:
    """A point that was found.

    Attributes:
        id: the point's id.
        score: what hits are ordered by. With one criterion (or none) the cosine in [-1, 1] of the representations; with
            several, or a modifier, their weighted sum as `CRLCollection.search` defines it.
        payload: the point's payload, or the part of it that was asked for; None where none was.
        scores: the cosines in [-1, 1] that the score was made of, by criterion; "image" is the raw similarity and
            "modifier" that of the modifier's text.
        group: the value of the `group_by` field that this hit stands for.
        explanation: by criterion, where `explain` was asked for.
    """

    id: PointId
    score: float
    payload: Payload | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    group: Any = None
    explanation: Mapping[str, Explanation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search is, or was, answered.

    Attributes:
        strategy: "named" (the engine's index on a named vector), "scan" (all embeddings, on the device) or "rerank"
            (oversampled candidates, scored exactly).
        exact: whether every point that passes the filter was, or is, compared.
        reason: why this strategy.
        candidates: points that were scored by us; 0 where the engine did it all, or before the search.
        seconds: how long the parts took; empty before the search.
    """

    strategy: str
    exact: bool
    reason: str
    candidates: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


class Hits(list[Hit]):
    """Hits, best first, and the plan by which they were found."""

    def __init__(self, hits: Iterable[Hit], plan: Plan) -> None:
        super().__init__(hits)
        self.plan = plan
