"""Variants of a product: of the points with the same value in a payload field only the best is a hit."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

from qdrant_client import models

from crl_qdrant.common.points import at_path, PointId
from crl_qdrant.search.request import Ranked
from crl_qdrant.stores import Store, without_value

__all__ = ["Groups"]


class Groups:
    """The groups of points by one payload field; each point's value is read once.

    Args:
        store: where the payloads are.
        field: the field's path.
    """

    def __init__(self, store: Store, field: str) -> None:
        self._store = store
        self._field = field
        self._values: dict[PointId, Any] = {}

    def count(self, ids: Sequence[PointId]) -> int:
        """Number of groups among the points."""
        self._read(ids)
        return len({self._key(point) for point in ids})

    def fold(self, ranked: Ranked) -> Ranked:
        """The best candidate of each group."""
        self._read(ranked.ids)
        first: dict[Any, int] = {}
        for at, point in enumerate(ranked.ids):
            first.setdefault(self._key(point), at)
        self._warn_if_nobody_has_it(ranked.ids)
        return ranked.at(list(first.values()))

    def value(self, point: PointId) -> Any:
        """The field's value; None where the point lacks the field."""
        return self._values.get(point)

    def _read(self, ids: Sequence[PointId]) -> None:
        new = [point for point in ids if point not in self._values]
        if new:
            payloads = {record.id: record.payload for record in self._store.retrieve(new, with_payload=[self._field])}
            self._values |= {point: at_path(payloads.get(point) or {}, self._field) for point in new}

    def _warn_if_nobody_has_it(self, ids: Sequence[PointId]) -> None:
        if not ids or any(self._values[point] is not None for point in ids):
            return
        if not self._store.count(models.Filter(must_not=[without_value(self._field)])):
            warnings.warn(
                f"no item has a field {self._field!r}, so `group_by` leaves out none; check its name",
                UserWarning,
                stacklevel=2,
            )

    def _key(self, point: PointId) -> Any:
        """A key that equal values have in common, and no others: true is not 1, [1] not its text.

        A point without the field is a variant of nothing else.
        """
        value = self._values[point]
        if value is None:
            return "point", point
        if isinstance(value, (list, dict)):
            return "JSON", json.dumps(value, sort_keys=True)
        return isinstance(value, bool), value
