"""One parser for whole numbers and one for numbers, with errors that say what to pass."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from crl_qdrant import CriterionError, InputError
from crl_qdrant.common.arguments import finite_number, listed, whole_number


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_whole_numbers(value: Any) -> None:
    assert whole_number("limit", value, least=1) == 3
    assert type(whole_number("limit", value, least=1)) is int


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (0, "`limit` must be at least 1, got 0"),
        (2.0, "`limit` must be a whole number, got 2.0"),
        ("3", "`limit` must be a whole number, got '3'"),
        (True, "`limit` must be a whole number, got True"),
        (np.True_, "`limit` must be a whole number"),
        (None, "`limit` must be a whole number, got None"),
        (np.ones(2, dtype=int), "`limit` must be a whole number"),
    ],
)
def test_what_is_no_whole_number(value: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=re.escape(complaint)):
        whole_number("limit", value, least=1)
    with pytest.raises(CriterionError):
        whole_number("rank", value, least=1, error=CriterionError)


def test_ranges_are_told_as_they_are() -> None:
    with pytest.raises(InputError, match=r"`seed` must be from 0 to 4294967295, got 4294967296$"):
        whole_number("seed", 2**32, least=0, most=2**32 - 1)
    with pytest.raises(InputError, match=r"`share` must be above 0 and below 1, got 1$"):
        finite_number("share", 1, above=0, below=1)
    with pytest.raises(InputError, match=r"`share` must be at most 0.5, got 0.6$"):
        finite_number("share", 0.6, most=0.5)


@pytest.mark.parametrize("value", [2, 2.0, np.float16(2), np.int64(2), Fraction(2)])
def test_numbers(value: Any) -> None:
    number = finite_number("weight", value, least=2, most=2)
    assert (type(number), number) == (float, 2.0)


@pytest.mark.parametrize(
    "value", [float("nan"), np.inf, 10**400, "2", None, True, np.True_, 2j, Decimal(2), np.ones(1)]
)
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(InputError, match="the weight of 'cut' must be a number, got"):
        finite_number("the weight of 'cut'", value)


def test_lists() -> None:
    assert listed("ids", (each for each in "ab")) == ["a", "b"]
    for wrong in ("ab", b"ab", {"a": 1}, 7, None):
        with pytest.raises(InputError, match="`ids` must be a list, got"):
            listed("ids", wrong)
