"""Leave-one-out mAP, and how far it would be another for other items: measured on random halves of them.

The spread of a figure over random halves of a sample estimates its standard error (the delete-half jackknife: Shao and
Wu, Annals of Statistics 17, 1989). A half has other queries *and* other items to be found, which a bootstrap of the
queries alone leaves out. Halves are the same for everything that is measured, so that differences have an error too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array

__all__ = ["Precision"]

_SPLITS: Final = 10
_QUERIES_AT_ONCE: Final = 256


class Precision:
    """Measures representations of the same items, one kind after the other.

    Args:
        labels: N hashable values; an item is to be found by those of its label.
        seed: of the halves.

    Attributes:
        usable: whether labels repeat in enough halves for an error to be told.
    """

    def __init__(self, labels: Sequence[object], *, seed: int) -> None:
        numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        self._codes = np.array([numbers[label] for label in labels], dtype=np.int64)
        halves = [half for half in _halves(len(labels), seed) if len(np.unique(self._codes[half])) < half.sum()]
        self._parts = [np.ones(len(labels), dtype=np.bool_), *halves]
        self.usable = len(halves) >= _SPLITS

    def measure(self, representations: Float32Array) -> npt.NDArray[np.float64]:
        """mAP as `evaluation.metrics.mean_average_precision` has it, of unit rows [N, r]: all, then each half, float64.

        Items are ranked once: a half's ranking is what is left of that.
        """
        sums, numbers = np.zeros(len(self._parts)), np.zeros(len(self._parts))
        for start in range(0, len(representations), _QUERIES_AT_ONCE):
            queries = np.arange(start, min(start + _QUERIES_AT_ONCE, len(representations)))
            scores = representations[queries] @ representations.T
            scores[np.arange(len(queries)), queries] = -np.inf  # the query itself comes last and is cut off
            order = np.argsort(-scores, axis=1)[:, :-1]
            relevant = self._codes[order] == self._codes[queries, None]
            for at, part in enumerate(self._parts):
                asked = part[queries]
                averages = _average_precisions(relevant[asked], part[order[asked]])
                sums[at] += averages.sum()
                numbers[at] += len(averages)
        return np.asarray(sums / numbers)


def _average_precisions(relevant: npt.NDArray[np.bool_], there: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Of rankings [Q, M] of which only some items are there, for each query that has a relevant one among those."""
    ranks = there.cumsum(axis=1, dtype=np.int32)
    found = relevant & there
    nth = found.cumsum(axis=1, dtype=np.int32)
    rows, columns = np.nonzero(found)
    precisions = np.bincount(rows, weights=nth[rows, columns] / ranks[rows, columns], minlength=len(found))
    numbers = np.bincount(rows, minlength=len(found))
    return np.asarray(precisions[numbers > 0] / numbers[numbers > 0])


def _halves(number: int, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    for _ in range(_SPLITS):
        half = np.zeros(number, dtype=np.bool_)
        half[rng.permutation(number)[: number // 2]] = True
        yield half
        yield ~half
