"""Which row of the scan holds which point, in NumPy arrays: a fifth of the memory of a dict and a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.points import PointId

__all__ = ["Rows"]

_VACANT, _NUMBER, _UUID = range(3)  # what a row holds
_KEY: Final = np.dtype([("kind", np.uint8), ("high", np.uint64), ("low", np.uint64)])  # an id: 17 bytes
_EMPTY: Final = -1
_FEWEST: Final = 1024
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ / golden ratio: multiplied by it, neighbours lie far apart

IntArray = npt.NDArray[np.int64]
Keys = npt.NDArray[np.void]


class Rows:
    """Point ids and their rows, from 0 on; a removed point's row goes to the next new one.

    An id is a key of three numbers: its kind, and its 128 bits in two halves. Rows are found by a hash table with
    linear probing, whose slots hold rows and whose keys are compared by row. So a row can change hands without the
    table being told: a slot leads to whatever its row holds by now, and is passed over where that is another key.
    """

    def __init__(self) -> None:
        self._keys: Keys = np.zeros(_FEWEST, dtype=_KEY)  # by row
        self._slots = np.full(4 * _FEWEST, _EMPTY, dtype=np.int32)
        self._filled = 0  # slots that are not empty, at most
        self._vacant: list[int] = []
        self._end = 0

    def __len__(self) -> int:
        return self._end - len(self._vacant)

    @property
    def end(self) -> int:
        """One more than the last row that is, or was, in use."""
        return self._end

    def vacant(self) -> npt.NDArray[np.bool_]:
        """A mask [end] of the rows that hold no point."""
        if not self._vacant:  # as most often; the keys need not be read
            return np.zeros(self._end, dtype=bool)
        return np.asarray(self._keys["kind"][: self._end] == _VACANT)

    def put(self, ids: Sequence[PointId]) -> IntArray:
        """Rows [B] for B different points: those they have already, or else new ones."""
        keys = _keys_of(ids)
        rows = self._find(keys)
        new = np.flatnonzero(rows < 0)
        if len(new):
            rows[new] = self._take(len(new))
            self._keys[rows[new]] = keys[new]
            self._enter(rows[new])
        return rows

    def remove(self, ids: Sequence[PointId]) -> None:
        """Make the rows of these points vacant; ids that are not there are no error."""
        rows = np.unique(self.find(ids))
        self._keys["kind"][rows] = _VACANT
        self._vacant += rows.tolist()

    def find(self, ids: Sequence[PointId]) -> IntArray:
        """The rows of those of the points that are there, in the order of their ids."""
        rows = self._find(_keys_of(ids))
        return rows[rows >= 0]

    def sort_keys(self, rows: IntArray) -> tuple[npt.NDArray[np.integer], ...]:
        """Keys for `numpy.lexsort`, the last one first: they order rows by id, numbers before UUIDs."""
        keys = self._keys[rows]
        return keys["low"], keys["high"], keys["kind"]

    def ids(self, rows: IntArray) -> list[PointId]:
        """The points in these rows, none of which is vacant."""
        return [_uuid(high, low) if kind == _UUID else low for kind, high, low in self._keys[rows].tolist()]

    def _find(self, keys: Keys) -> IntArray:
        """The row of each key [M]; -1 for one that is not there."""
        rows = np.full(len(keys), -1, dtype=np.int64)
        slots = self._first_slots(keys)
        left = np.arange(len(keys))
        while len(left):
            at = self._slots[slots]
            same = (self._keys[at] == keys[left]) & (at != _EMPTY)
            rows[left[same]] = at[same]
            on = (at != _EMPTY) & ~same
            left, slots = left[on], self._next(slots[on])
        return rows

    def _take(self, number: int) -> IntArray:
        """Rows for so many new points: vacant ones first."""
        again = [self._vacant.pop() for _ in range(min(number, len(self._vacant)))]
        start, self._end = self._end, self._end + number - len(again)
        if self._end > len(self._keys):
            grown = np.zeros(max(self._end, 2 * len(self._keys)), dtype=_KEY)
            grown[:start] = self._keys[:start]
            self._keys = grown
        return np.concatenate([np.array(again, dtype=np.int64), np.arange(start, self._end)])

    def _enter(self, rows: IntArray) -> None:
        """Put rows into the table, which is rebuilt where it would be more than half full."""
        if 2 * (self._filled + len(rows)) > len(self._slots):
            # three slots a point, so that many more are written before it is half full again
            self._slots = np.full(1 << (3 * len(self)).bit_length(), _EMPTY, dtype=np.int32)
            self._filled = 0
            rows = np.flatnonzero(self._keys["kind"][: self._end] != _VACANT)
        self._filled += len(rows)
        slots = self._first_slots(self._keys[rows])
        while len(rows):
            empty = self._slots[slots] == _EMPTY
            self._slots[slots[empty]] = rows[empty]
            lost = self._slots[slots] != rows  # of several rows for one empty slot one has got it
            rows, slots = rows[lost], self._next(slots[lost])

    def _first_slots(self, keys: Keys) -> IntArray:
        mixed = (keys["high"] * _GOLDEN + keys["low"]) * _GOLDEN
        mixed ^= mixed >> np.uint64(32)
        bits = len(self._slots).bit_length() - 1
        return np.asarray(mixed * _GOLDEN >> np.uint64(64 - bits), dtype=np.int64)

    def _next(self, slots: IntArray) -> IntArray:
        return np.asarray((slots + 1) & (len(self._slots) - 1))


def _keys_of(ids: Sequence[PointId]) -> Keys:
    keys: Keys = np.zeros(len(ids), dtype=_KEY)
    keys["kind"] = _NUMBER
    uuids = [each for each in ids if isinstance(each, str)]
    if not uuids:  # as most collections are
        keys["low"] = np.fromiter(cast("Sequence[int]", ids), dtype=np.uint64, count=len(ids))
        return keys
    is_uuid = np.array([isinstance(each, str) for each in ids])
    halves = np.frombuffer(bytes.fromhex("".join(uuids).replace("-", "")), dtype=">u8").reshape(-1, 2)
    keys["kind"][is_uuid] = _UUID
    keys["high"][is_uuid], keys["low"][is_uuid] = halves.T
    keys["low"][~is_uuid] = np.array([each for each in ids if not isinstance(each, str)], dtype=np.uint64)
    return keys


def _uuid(high: int, low: int) -> str:
    digits = f"{high:016x}{low:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
