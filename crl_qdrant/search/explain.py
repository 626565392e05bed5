"""A hit explained in the criterion's words.

A conditional representation is one or two parts by words, and a part that no word accounts for, with the same inner
products. So a cosine is a sum over words and a rest; what a smoothed hit has of its neighbours is part of the rest.
The part that any two items share is told apart by the collection's mean m (in word space):
a·b = Σₖ (aₖ - mₖ)(bₖ - mₖ) + Σₖ mₖ(aₖ + bₖ - mₖ) + rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.projection.stored import StoredProjection
from crl_qdrant.search.results import Explanation, WordShare
from crl_qdrant.search.scoring import mean_direction

__all__ = ["WordSpace", "positions_to_show", "words_to_show"]

_NEARLY_MOST: Final = 0.9


class WordSpace:
    """One criterion's representations by its words, beside those of a sample of the collection.

    Args:
        projection: the criterion's.
        words: its K words.
        sample: unit embeddings [n, d] of some of the collection's items, n >= 1.
    """

    def __init__(self, projection: StoredProjection, words: Sequence[str], sample: Float32Array) -> None:
        self._projection = projection
        self._words = list(words)
        exact = sample.astype(np.float64)
        self._usual = self._uncompressed(exact).mean(axis=0)
        self._mean = self.by_words(projection.conditional(exact)).mean(axis=0)

    def by_words(self, representations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Conditional representations [N, width], in front of a head, by words: [N, parts·K], a linear map."""
        return _flat(self._projection.by_words(representations))

    def direction(self, like: Float32Array, unlike: Float32Array) -> npt.NDArray[np.float64]:
        """The direction [parts·K] of unit embeddings [p, d] to be like and [n, d] to be unlike, before compression."""
        return mean_direction(self._uncompressed(like), self._uncompressed(unlike))

    def more(self, embeddings: Float32Array) -> npt.NDArray[np.float64]:
        """By how much unit embeddings [N, d] exceed the average item in each word, float64 [N, K]."""
        exceeding = self._uncompressed(embeddings) - self._usual
        return np.asarray(exceeding.reshape(len(exceeding), -1, len(self._words)).sum(axis=1))

    def explain(
        self, query: npt.NDArray[np.float64], hits: Float32Array, cosines: Sequence[float]
    ) -> list[Explanation]:
        """Split hits' cosines with a query into shares by word, which add up to them.

        Args:
            query: its direction [width] among the conditional representations.
            hits: unit embeddings [N, d].
            cosines: N cosines.
        """
        rows = self._projection.conditional(hits.astype(np.float64))
        shown = words_to_show(self.more(hits), self._words)
        (of_query,) = self.by_words(query[None])
        return [
            self._explanation(of_query, of_hit, cosine, word)
            for of_hit, cosine, word in zip(self.by_words(rows), cosines, shown, strict=True)
        ]

    def describe(self, direction: npt.NDArray[np.float64], limit: int) -> list[tuple[str, float]]:
        """The words that a direction [parts·K] is more of than the average item, with how much more."""
        more = self._per_word(direction - self._usual)
        return [(self._words[k], float(more[k])) for k in np.argsort(-more, kind="stable")[:limit]]

    def _explanation(
        self, query: npt.NDArray[np.float64], hit: npt.NDArray[np.float64], cosine: float, word: str | None
    ) -> Explanation:
        of_query, of_hit = query - self._mean, hit - self._mean
        shares, query_more, hit_more = (self._per_word(each) for each in (of_query * of_hit, of_query, of_hit))
        words = [
            WordShare(self._words[k], float(shares[k]), float(query_more[k]), float(hit_more[k]))
            for k in np.argsort(-shares, kind="stable")
        ]
        common = float(self._mean @ (query + hit - self._mean))
        return Explanation(common, tuple(words), cosine - common - float(shares.sum()), word)

    def _uncompressed(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return _flat(self._projection.words_of(embeddings.astype(np.float64)))

    def _per_word(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(values.reshape(-1, len(self._words)).sum(axis=0))


def _flat(parts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[N, parts, K] as [N, parts·K], also where N is 0."""
    return parts.reshape(len(parts), parts.shape[1] * parts.shape[2])


def words_to_show(more: npt.NDArray[np.float64], words: Sequence[str]) -> list[str | None]:
    """One word for each item: of those within 10 % of its strongest the first in the criterion's list.

    So near-synonyms do not take turns: pink everywhere, not fuchsia here and rose there.

    Args:
        more: [N, K], by how much items exceed the average item in each word.
        words: K words, in the criterion's order.

    Returns:
        N words; None for an item that is more of no word.
    """
    first = positions_to_show(more)
    return [words[k] if more[at, k] > 0 else None for at, k in enumerate(first.tolist())]


def positions_to_show(more: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The positions [N] of those words; of an item that is more of no word, the position means nothing."""
    return np.asarray((more >= _NEARLY_MOST * more.max(axis=1, keepdims=True)).argmax(axis=1))
