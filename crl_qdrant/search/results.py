"""Hits, the plan by which they were found, and the reasons why they matched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from crl_qdrant.common.points import Payload, PointId

__all__ = ["Explanation", "Hit", "Hits", "Plan", "WordShare"]

_CARRIED: Final = 0.8  # of the agreement, by the words that matched
_MOST_MATCHED: Final = 5
_LEAST_MATCHED: Final = 0.1  # of the agreement, for each word after the first


@dataclass(frozen=True, slots=True)
class WordShare:
    """One word's part in the similarity of query and hit.

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
    """The reasons for a hit's cosine in one criterion: `common`, the shares of all words and `rest` add up to it.

    Attributes:
        common: the part that any two items of the collection would have.
        words: every word's share, largest first.
        rest: the part that no word accounts for, and in a smoothed criterion that of the hit's neighbours.
        word: the one word to show for the hit; None where it is more of no word than the average item.
    """

    common: float
    words: tuple[WordShare, ...]
    rest: float = 0.0
    word: str | None = None

    @property
    def matched(self) -> list[str]:
        """The few words that carry the agreement, the largest share first; none where query and hit agree on none.

        A word counts if query and hit are both more of it than the average item, each by at least half of the most
        that it is of any word. Words are taken until they make up 80 % of the agreement, at most five; each after the
        first makes up at least 10 %.
        """
        agreed = [each for each in self.words if each.share > 0 and each.query > 0 and each.hit > 0]
        agreement = sum(each.share for each in agreed)
        most_query = max((each.query for each in self.words), default=0.0)
        most_hit = max((each.hit for each in self.words), default=0.0)
        chosen: list[str] = []
        carried = 0.0
        for each in sorted(agreed, key=lambda word: -word.share):
            if each.query < most_query / 2 or each.hit < most_hit / 2:
                continue
            if len(chosen) == _MOST_MATCHED or carried >= _CARRIED * agreement:
                break
            if chosen and each.share < _LEAST_MATCHED * agreement:
                break
            chosen.append(each.word)
            carried += each.share
        return chosen


@dataclass(slots=True)
class Hit:
    """A point that was found.

    Attributes:
        id: the point's id.
        score: the number that hits are ordered by. With one criterion (or none) the cosine in [-1, 1] of the
            representations; with several, or a modifier, their weighted sum as `CRLCollection.search` defines it.
        payload: the point's payload, or the part of it that was asked for; None where none was.
        scores: the cosines in [-1, 1] that the score was made of, by criterion; "image" is the raw similarity and
            "modifier" that of the modifier's text.
        group: the value of the `group_by` field that this hit stands for.
        explanation: by criterion, if `explain` was asked for.
        closeness: by criterion, and "image" for the raw similarity, if `explain` or `min_closeness` was asked for: from
            0 to 1, spread over the collection's own similarities. 0.2 is as alike as one random pair of items in ten,
            0.4 as one in a hundred, 0.6 as one in a thousand. Empty for a search by text, and for fewer than 10 points.
    """

    id: PointId
    score: float
    payload: Payload | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    group: Any = None
    explanation: Mapping[str, Explanation] = field(default_factory=dict)
    closeness: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a search, before or after it ran.

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
    """Hits, best first.

    Attributes:
        plan: the plan by which they were found.
    """

    plan: Plan
