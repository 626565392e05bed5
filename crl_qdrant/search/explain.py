"""A hit explained in the criterion's words.

A conditional representation is one or two parts by words, with the same inner products, so a cosine is a sum over
words. The part that any two items share is told apart by the collection's mean m (in word space):
a·b = Σₖ (aₖ - mₖ)(bₖ - mₖ) + Σₖ mₖ(aₖ + bₖ - mₖ).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.projection.stored import StoredProjection
from crl_qdrant.search.results import Explanation, WordShare

__all__ = ["WordSpace", "words_to_show"]

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
        self._mean = self.represent(sample).mean(axis=0)

    def represent(self, embeddings: Float32Array) -> npt.NDArray[np.float64]:
        """Unit embeddings [N, d] by words: float64 [N, parts·K], unit rows, cosines as the criterion has them.

        With a head, as it has them in front of it: what the head makes of them is no longer by words.
        """
        rows = self._projection.conditional(embeddings.astype(np.float64))
        return self._projection.by_words(rows).reshape(len(rows), -1)

    def more(self, embeddings: Float32Array) -> npt.NDArray[np.float64]:
        """By how much unit embeddings [N, d] exceed the average item in each word, float64 [N, K]."""
        exceeding = self.represent(embeddings) - self._mean
        return np.asarray(exceeding.reshape(len(exceeding), -1, len(self._words)).sum(axis=1))

    def explain(self, query: np.ndarray, hit: np.ndarray, cosine: float) -> Explanation:
        """What adds up to the cosine of two representations by words, [parts·K] each and of unit length."""
        of_query, of_hit = query - self._mean, hit - self._mean
        shares, query_more, hit_more = (self._per_word(each) for each in (of_query * of_hit, of_query, of_hit))
        words = [
            WordShare(self._words[k], float(shares[k]), float(query_more[k]), float(hit_more[k]))
            for k in np.argsort(-shares, kind="stable")
        ]
        common = float(self._mean @ (query + hit - self._mean))
        (shown,) = words_to_show(hit_more[None], self._words)
        return Explanation(common, tuple(words), cosine - common - float(shares.sum()), shown)

    def describe(self, representation: np.ndarray, limit: int) -> list[tuple[str, float]]:
        """The words that a representation [parts·K] is more of than the average item, with how much more."""
        more = self._per_word(representation - self._mean)
        return [(self._words[k], float(more[k])) for k in np.argsort(-more, kind="stable")[:limit]]

    def _per_word(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values.reshape(-1, len(self._words)).sum(axis=0))


def words_to_show(more: npt.NDArray[np.float64], words: Sequence[str]) -> list[str | None]:
    """One word for each item: of those within 10 % of its strongest the first in the criterion's list.

    So near-synonyms do not take turns: pink everywhere, not fuchsia here and rose there.

    Args:
        more: [N, K], by how much items exceed the average item in each word.
        words: K words, in the criterion's order.

    Returns:
        N words; None for an item that is more of no word.
    """
    most = more.max(axis=1, keepdims=True)
    first = (more >= _NEARLY_MOST * most).argmax(axis=1)
    return [words[k] if most[at, 0] > 0 else None for at, k in enumerate(first)]
