"""Mean average precision: the one measure of how well items of the same label find each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array

__all__ = ["Ranking", "average_precisions", "label_codes", "leave_one_out", "mean_average_precision", "rank"]

_QUERIES_AT_ONCE: Final = 256


class Ranking(NamedTuple):
    """Rankings for some of N items: `queries`, int [Q], and for each the other items, nearest first, int [Q, N - 1]."""

    queries: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]


def rank(scores: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Positions [Q, N] by descending score; equal scores keep their order."""
    return np.argsort(-scores, axis=1, kind="stable")


def average_precisions(
    relevant: npt.NDArray[np.bool_], present: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Average precision of each query: the mean, over its relevant items, of the precision at their ranks.

    Args:
        relevant: bool [Q, N], in the order of each query's ranking.
        present: bool [Q, N], the items that the ranking is restricted to; None: all.

    Returns:
        float64 [Q] in [0, 1]; NaN for a query without a relevant item.
    """
    if present is None:
        ranks, found = np.arange(1, relevant.shape[1] + 1)[None], relevant
    else:
        ranks, found = present.cumsum(axis=1, dtype=np.int32), relevant & present
    nth = found.cumsum(axis=1, dtype=np.int32)
    rows, columns = np.nonzero(found)
    precisions = nth[rows, columns] / np.broadcast_to(ranks, relevant.shape)[rows, columns]
    numbers = np.bincount(rows, minlength=len(found))
    sums = np.bincount(rows, weights=precisions, minlength=len(found))
    return np.where(numbers > 0, sums / np.maximum(numbers, 1), np.nan)


def label_codes(labels: Sequence[object]) -> npt.NDArray[np.int64]:
    """The labels as numbers from 0 in the order in which they first occur, int64 [N]."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def leave_one_out(representations: Float32Array, searched_by: Float32Array | None = None) -> Iterator[Ranking]:
    """Rank, for each of N unit rows [N, r], all the others by cosine; some queries at a time.

    Args:
        representations: N items.
        searched_by: the N queries, [N, r], unit rows; None: the items themselves.
    """
    asked = representations if searched_by is None else searched_by
    for start in range(0, len(representations), _QUERIES_AT_ONCE):
        queries = np.arange(start, min(start + _QUERIES_AT_ONCE, len(representations)))
        scores = asked[queries] @ representations.T
        scores[np.arange(len(queries)), queries] = -np.inf  # the query itself comes last and is cut off
        yield Ranking(queries, rank(scores)[:, :-1])


def mean_average_precision(representations: Float32Array, labels: Sequence[object]) -> float:
    """Leave-one-out mAP: every item in turn is the query, and all others are ranked by cosine.

    An item is relevant if it has the query's label. Queries without a relevant item do not count.

    Args:
        representations: [N, r], unit rows.
        labels: N hashable values.

    Returns:
        A number in [0, 1]; NaN if no label occurs twice.
    """
    codes = label_codes(labels)
    parts = [
        average_precisions(codes[order] == codes[queries, None]) for queries, order in leave_one_out(representations)
    ]
    found = np.concatenate([np.empty(0), *parts])
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")
