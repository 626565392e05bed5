"""Why a hit matched, in the criterion's words.

With P = V·Sᵖ, a conditional representation z [r] is U z in the space of the K words, with the same inner products, so
a cosine is a sum over words. What any two items share is told apart by the collection's mean m (in word space):
a·b = Σₖ (aₖ - mₖ)(bₖ - mₖ) + Σₖ mₖ(aₖ + bₖ - mₖ).
"""

from __future__ import annotations

import numpy as np
import torch

from crl_qdrant.criterion import Criterion
from crl_qdrant.embeddings import Float32Array
from crl_qdrant.projection import word_matrix
from crl_qdrant.search.hit import Explanation, WordShare

__all__ = ["WordSpace"]


class WordSpace:
    """One criterion's representations by its words, beside those of a sample of the collection.

    Args:
        criterion: with its words' embeddings [K, d].
        sample: unit embeddings [n, d] of some of the collection's items, n >= 1.
    """

    def __init__(self, criterion: Criterion, sample: Float32Array) -> None:
        self._to_words = word_matrix(
            torch.tensor(criterion.embeddings),
            weighting=criterion.weighting,
            center=criterion.center,
            energy=criterion.energy,
        ).numpy()  # [d, K]
        self._words = list(criterion.words)
        self._mean = self.represent(sample).mean(axis=0)

    def represent(self, embeddings: Float32Array) -> np.ndarray:
        """Unit embeddings [N, d] by words: float64 [N, K], unit rows, cosines as the criterion has them."""
        rows = embeddings.astype(np.float64) @ self._to_words
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))

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
