"""A scan's leading points scored again from the stored embeddings, since the scan's are in half precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.memory.scan import Term
from crl_qdrant.search.scoring import ranking

__all__ = ["search_exactly"]

_SPARE: Final = 32
_MOST: Final = 1024

Found = list[tuple[PointId, float]]
Score = Callable[[int, Float32Array], npt.NDArray[np.float64]]


def search_exactly(
    resident: Resident,
    terms: Sequence[Term],
    score: Score,
    *,
    limit: int,
    among: Sequence[PointId] | None = None,
    without: Sequence[PointId] = (),
) -> list[Found]:
    """For each query the points that are best by exact scores, best first; equal scores by id.

    More points than asked for are scored again, until the scan's rounding, which is measured on them, cannot have kept
    a better one from among them: up to 1,024, or twice as many as asked for.

    Args:
        resident: scans, and reads embeddings.
        terms: as `Scan.search` takes them, for Q queries.
        score: from the number of a query and unit embeddings [n, d] to exact scores [n].
        limit, among, without: as in `Scan.search`.

    Returns:
        Q lists of at most `limit` pairs of id and exact score.
    """
    scan = resident.scan()
    number, most = limit + max(_SPARE, limit // 2), max(_MOST, 2 * limit)
    pending = list(range(len(terms[0][1])))
    answers: dict[int, Found] = {}
    embeddings = _Embeddings(resident)
    while pending:
        wanted = [(space, directions[pending]) for space, directions in terms]
        found = scan.search(wanted, limit=number, among=among, without=without)
        embeddings.read([point for pairs in found for point, _ in pairs])
        left = []
        for query, pairs in zip(pending, found, strict=True):
            kept = [pair for pair in pairs if pair[0] in embeddings]  # else another process removed it
            ids = [point for point, _ in kept]
            exact = score(query, embeddings.of(ids)) if ids else np.empty(0)
            order = ranking(exact, ids)[:limit]
            answers[query] = [(ids[at], float(exact[at])) for at in order]
            if len(pairs) == number < most and not _is_settled(np.array([x for _, x in kept]), exact, order, limit):
                left.append(query)
        pending, number = left, min(4 * number, most)
    return [answers[query] for query in range(len(terms[0][1]))]


def _is_settled(
    rough: npt.NDArray[np.float64], exact: npt.NDArray[np.float64], order: npt.NDArray[np.intp], limit: int
) -> bool:
    """Whether no point behind the last one can belong to the first `limit`: rounding would have to be twice as large.

    The sums of a scan lack a constant, so they are compared by their differences from the exact scores.
    """
    if len(order) < limit:
        return False
    error = rough - exact
    return bool(rough[-1] - error.min() + (error.max() - error.min()) < exact[order[-1]])


class _Embeddings:
    """Embeddings that have been read, by id."""

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._rows: dict[PointId, Float32Array] = {}
        self._asked: set[PointId] = set()

    def read(self, ids: Sequence[PointId]) -> None:
        new = [point for point in dict.fromkeys(ids) if point not in self._asked]
        self._asked.update(new)
        if new:
            found, rows = self._resident.embeddings_of(new)
            self._rows.update(zip(found, rows, strict=True))

    def __contains__(self, point: PointId) -> bool:
        return point in self._rows

    def of(self, ids: Sequence[PointId]) -> Float32Array:
        return np.stack([self._rows[point] for point in ids])
