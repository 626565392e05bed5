"""Why a hit matched, in the criterion's words.

A conditional representation z [r] is U z in the space of the K words, with the same inner products, so a cosine is a
sum over words. What any two items share is told apart by the collection's mean m (in word space):
a·b = Σₖ (aₖ - mₖ)(bₖ - mₖ) + Σₖ mₖ(aₖ + bₖ - mₖ).
"""

from __future__ import annotations

import numpy as np

from crl_qdrant.embeddings import Float32Array
from crl_qdrant.manifest import StoredCriterion
from crl_qdrant.search.hit import Explanation, WordShare

__all__ = ["WordSpace"]


class WordSpace:
    """One criterion's representations by its words, beside those of a sample of the collection.

    Args:
        stored: the criterion.
        sample: unit embeddings [n, d] of some of the collection's items, n >= 1.
    """

    def __init__(self, stored: StoredCriterion, sample: Float32Array) -> None:
        self._projection = stored.projection
        self._words = list(stored.criterion.words)
        self._mean = self.represent(sample).mean(axis=0)

    def represent(self, embeddings: Float32Array) -> np.ndarray:
        """Unit embeddings [N, d] by words: float64 [N, K], unit rows, cosines as the criterion has them."""
        return self._projection.by_words(self._projection.represent(embeddings.astype(np.float64)))

    def explain(self, query: np.ndarray, hit: np.ndarray) -> Explanation:
        """What adds up to the cosine of two representations by words, [K] each and of unit length."""
        of_query, of_hit = query - self._mean, hit - self._mean
        shares = of_query * of_hit
        words = [
            WordShare(self._words[k], float(shares[k]), float(of_query[k]), float(of_hit[k]))
            for k in np.argsort(-shares, kind="stable")
        ]
        return Explanation(float(self._mean @ (query + hit - self._mean)), tuple(words))

    def describe(self, representation: np.ndarray, limit: int) -> list[tuple[str, float]]:
        """The words that a representation [K] is more of than the average item, most first, with how much more."""
        more = representation - self._mean
        return [(self._words[k], float(more[k])) for k in np.argsort(-more, kind="stable")[:limit]]
