"""Leave-one-out mAP with its standard error, measured on random halves of the items.

The spread of a figure over random halves of a sample estimates its standard error (the delete-half jackknife: Shao and
Wu, Annals of Statistics 17, 1989). A half has other queries and other items to find; a bootstrap of the queries alone
varies only the queries. All representations are measured on the same halves, so differences have an error too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.analysis.average_precision import average_precisions, label_codes, leave_one_out
from crl_qdrant.common.arrays import Float32Array

__all__ = ["Precision"]

_SPLITS: Final = 10


class Precision:
    """Measures several representations of the same items.

    Args:
        labels: N hashable values; items of the same label should find each other.
        seed: of the halves.

    Attributes:
        usable: whether labels repeat in enough halves to estimate an error.
    """

    def __init__(self, labels: Sequence[object], *, seed: int) -> None:
        self._codes = label_codes(labels)
        halves = [half for half in _halves(len(labels), seed) if len(np.unique(self._codes[half])) < half.sum()]
        self._parts = [np.ones(len(labels), dtype=np.bool_), *halves]
        self.usable = len(halves) >= _SPLITS

    def measure(
        self, representations: Float32Array, searched_by: Float32Array | None = None
    ) -> npt.NDArray[np.float64]:
        """Mean average precision of unit rows [N, r]: of all items, then of each half, float64 [1 + halves].

        Items are ranked once: a half's ranking is the full one without the other half. The queries are the items, or
        `searched_by`, [N, r], in their order.
        """
        sums, numbers = np.zeros(len(self._parts)), np.zeros(len(self._parts))
        for queries, order in leave_one_out(representations, searched_by):
            relevant = self._codes[order] == self._codes[queries, None]
            for at, part in enumerate(self._parts):
                asked = part[queries]
                averages = average_precisions(relevant[asked], part[order[asked]])
                sums[at] += np.nansum(averages)
                numbers[at] += np.isfinite(averages).sum()
        return np.asarray(sums / numbers)


def _halves(number: int, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    for _ in range(_SPLITS):
        half = np.zeros(number, dtype=np.bool_)
        half[rng.permutation(number)[: number // 2]] = True
        yield half
        yield ~half
