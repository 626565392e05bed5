"""Rows of the scan, beside a dict."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl_qdrant.search.memory import rows as module
from crl_qdrant.search.memory.rows import Rows

numbers = st.integers(0, 30) | st.integers(0, 2**64 - 1)
# also UUIDs of the same bits as numbers, which are other points
points = st.one_of(numbers, numbers.map(lambda n: str(uuid.UUID(int=n))), st.uuids().map(str))
batches = st.lists(points, max_size=12, unique=True)


@pytest.fixture(autouse=True, scope="module")
def _grows_from_nothing() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEWEST", 1)
        yield


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "put", "remove"]), batches), max_size=30), batches)
def test_it_is_a_dict_of_ids_and_rows(steps: list[tuple[str, list[int | str]]], asked: list[int | str]) -> None:
    rows, expected = Rows(), dict[int | str, int]()
    for step, ids in steps:
        if step == "put":
            known = {each: expected[each] for each in ids if each in expected}
            expected |= zip(ids, rows.put(ids).tolist(), strict=True)
            assert known.items() <= expected.items()
        else:
            rows.remove([*ids, *ids])  # twice is once
            for each in ids:
                expected.pop(each, None)
        held = sorted(expected.values())
        assert len(rows) == len(expected) == len(set(held))
        assert all(row < rows.end for row in held)
        assert sorted([*held, *np.flatnonzero(rows.vacant()).tolist()]) == list(range(rows.end))
    every = [*expected, *asked]
    assert rows.find(every).tolist() == [expected[each] for each in every if each in expected]
    assert rows.ids(np.array(list(expected.values()), dtype=np.int64)) == list(expected)


def test_rows_of_removed_points_are_used_again() -> None:
    rows = Rows()
    for turn in range(20):
        rows.put([turn, str(uuid.UUID(int=turn))])
        rows.remove([turn])
        rows.remove([turn, 999])
    assert (len(rows), rows.end) == (20, 21)


def test_many_points_and_few_bytes() -> None:
    rng = np.random.default_rng(3)
    ids = [str(uuid.UUID(bytes=rng.bytes(16))) if n % 2 else n << 40 for n in range(20_000)]
    rows = Rows()
    for start in range(0, len(ids), 1000):
        rows.put(ids[start : start + 1000])
    rows.remove(ids[5_000:15_000])
    assert rows.find(ids).tolist() == [*range(5_000), *range(15_000, 20_000)]
    rows.put(ids)
    assert rows.ids(rows.find(ids)) == ids
    held = sum(array.nbytes for array in vars(rows).values() if isinstance(array, np.ndarray))
    assert held < 60 * len(ids)  # both arrays just doubled; a dict and a list of such ids take 200
