"""A score from 0 to 1 that says how far a tag is to be trusted, calibrated per word without labels.

Two signs of a good tag were found on labelled photos (docs/tasks.md): the item is far out in the word (few of a
catalogue's items are a rare thing), or the word splits the collection cleanly and the item is on its side. Each is a
logistic function of one number; the score is the better of the two. The constants were chosen on one half of the photos
and checked on the other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array

__all__ = ["TagScale"]

_LEVEL, _LEVEL_STEEPNESS = 3.5, 2.0
"""Standard deviations above the collection's mean similarity to the word at which the score is 0.5."""
_CLEAR, _CLEAR_STEEPNESS = 0.95, 25.0
"""Of the items with half as much of the word, the share that has three quarters as much, at which it is 0.5."""
_APART, _APART_STEEPNESS = 0.55, 20.0
"""Deviation beside that of a word that splits the collection perfectly, at which it is 0.5."""
_TINY: Final = 1e-9


class TagScale:
    """Scores words of one criterion; fitted on a sample of the collection.

    Args:
        texts: T, the criterion's K words, [K, d], unit rows.
        sample: unit embeddings [n, d] of some of the collection's items, n >= 1.
        sample_more: by how much the sample exceeds the average item in each word, [n, K], as `WordSpace.more`.
    """

    def __init__(self, texts: Float32Array, sample: Float32Array, sample_more: npt.NDArray[np.float64]) -> None:
        self._texts = texts.astype(np.float64) - texts.mean(axis=0, dtype=np.float64)
        similarities = sample @ self._texts.T
        self._mean = similarities.mean(axis=0)
        self._deviation = np.maximum(similarities.std(axis=0), _TINY)
        self._sorted = np.sort(sample_more, axis=0)

    def scores(
        self, embeddings: Float32Array, more: npt.NDArray[np.float64], words: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Score some words of each item.

        Args:
            embeddings: [N, d], unit rows.
            more: theirs, [N, K].
            words: the positions of words to score, [N, m].

        Returns:
            float64 [N, m] in [0, 1]; 0 for a word that the item is no more of than the average item.
        """
        own = np.take_along_axis(more, words, axis=1)
        similarities = np.take_along_axis(embeddings @ self._texts.T, words, axis=1)
        level = (similarities - self._mean[words]) / self._deviation[words]
        half, three_quarters = self._counts(0.5 * own, words), self._counts(0.75 * own, words)
        clear = np.where(half > 0, (three_quarters + 1) / (half + 1), 0.0)
        share = (half + 1) / (len(self._sorted) + 2)
        # a word that all of a share p have alike, and the others not at all, has p's items at √((1 - p)/p) deviations
        apart = level * np.sqrt(share / (1 - share))
        clean = np.minimum(
            _logistic(_CLEAR_STEEPNESS * (clear - _CLEAR)), _logistic(_APART_STEEPNESS * (apart - _APART))
        )
        return np.where(own > 0, np.maximum(_logistic(_LEVEL_STEEPNESS * (level - _LEVEL)), clean), 0.0)

    def _counts(self, least: npt.NDArray[np.float64], words: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Items of the sample that have at least so much of a word, [N, m]."""
        counts = np.empty(least.shape)
        for word in np.unique(words):
            here = words == word
            counts[here] = len(self._sorted) - np.searchsorted(self._sorted[:, word], least[here] - 1e-12)
        return counts


def _logistic(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -50, 50))))
