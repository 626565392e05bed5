"""Payload values as JSON has them: nothing is lost or changed without a word, and every run gives the same."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections import deque, OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pandas as pd
import pytest

from crl_qdrant import InputError
from crl_qdrant.common.points import checked_payload


class Size(Enum):
    SMALL = "S"


class Level(IntEnum):
    LOW = 1


class Label(StrEnum):
    NEW = "new"


class Pair(NamedTuple):
    a: int
    b: Any


@dataclass
class Price:
    amount: Decimal
    since: Any = None


DAY = "2026-01-02"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.datetime64("2026-01-02T03:04:05", "ns"), f"{DAY}T03:04:05"),
        (np.datetime64("2026-01-02T03:04:05.123456789", "ns"), f"{DAY}T03:04:05.123456789"),
        (np.datetime64("2026-01-02T03:04:05.5", "ms"), f"{DAY}T03:04:05.500000"),
        (np.datetime64(DAY), DAY),
        (np.array([DAY, "NaT"], dtype="datetime64[ns]"), [f"{DAY}T00:00:00", None]),
        (np.array([[1, 2]], dtype="timedelta64[h]"), [["PT1H", "PT2H"]]),
        (np.timedelta64(90, "m"), "PT1H30M"),
        (np.timedelta64(90 * 60 * 10**9, "ns"), "PT1H30M"),
        (np.timedelta64("NaT"), None),
        (datetime.timedelta(minutes=90), "PT1H30M"),
        (pd.Timestamp("2026-01-02T03:04:05"), f"{DAY}T03:04:05"),
        (pd.NaT, None),
        (pd.NA, None),
        (float("nan"), None),
        (Decimal("NaN"), None),
        (np.ma.masked, None),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        (Decimal("19.99"), 19.99),
        (Decimal("20.00"), 20),
        (Decimal("-3"), -3),
        (Fraction(1, 4), 0.25),
        (Fraction(1, 3), 1 / 3),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (frozenset([3, 1.5, 2]), [1.5, 2, 3]),
        ({1, "a", None, (2, 3)}, None),
        (np.longdouble(1.5), 1.5),
        (np.array([1.5], dtype=np.longdouble), [1.5]),
        (np.array([1.5], dtype=ml_dtypes.bfloat16), [1.5]),
        (np.array([float("nan"), 1]), [None, 1.0]),
        (np.array(7), 7),
        (np.array(["a", None, Decimal("1.5")], dtype=object), ["a", None, 1.5]),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), "a"),
        (pd.Series([1, 2]), [1, 2]),
        (Size.SMALL, "S"),
        (Level.LOW, 1),
        (Label.NEW, "new"),
        (Pair(1, np.nan), [1, None]),
        (Price(Decimal("9.5"), np.datetime64(DAY)), {"amount": 9.5, "since": DAY}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (OrderedDict(a=deque([1])), {"a": [1]}),
        ((each for each in range(2)), [0, 1]),
        (range(2), [0, 1]),
        ({"a": 1}.keys(), ["a"]),
        (Path("a/b"), "a/b"),
        (b"abc", "abc"),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_what_values_become(value: Any, stored: Any) -> None:
    found = checked_payload({"x": value, "y": {"z": [value]} if not hasattr(value, "send") else 0})
    json.dumps(found, allow_nan=False)
    if stored is not None or not isinstance(value, set):
        assert found["x"] == stored
        assert type(found["x"]) is type(stored)


def test_keys_become_texts() -> None:
    keys = {
        3: 0,
        1.5: 0,
        True: 0,
        None: 0,
        np.longdouble(2.5): 0,
        np.int64(4): 0,
        datetime.date(2026, 1, 2): 0,
        Size.SMALL: 0,
    }
    assert list(checked_payload(keys)) == ["3", "1.5", "true", "None", "2.5", "4", DAY, "S"]


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        ({1: "a", "1": "b"}, "two keys that both become '1'"),
        ({"a": {True: 0, "true": 1}}, "two keys that both become 'true' in JSON in 'a'"),
        ({(1, 2): "a"}, r"a key of the payload must be a text, got \(1, 2\)"),
        ({"a": {b"k": 1}}, "a key of the payload must be a text, got b'k' in 'a'"),
        ({"\ud800": 1}, "not Unicode"),
        ({"a": ["x", "\ud800"]}, r"not Unicode in 'a\[1\]'"),
        ({"price": Decimal("0.1234567890123456789")}, r"in 'price', which a number in JSON cannot hold exactly"),
        ({"a": Decimal("1E+400")}, "cannot hold exactly"),
        ({"a": Fraction(10**40 + 1, 10**20)}, "cannot hold exactly"),
        ({"a": [1j]}, r"complex has no form in it in 'a\[0\]'"),
        ({"a": np.complex64(1)}, "complex has no form"),
        ({"a": np.array([1j])}, "complex has no form"),
        ({"a": object()}, "object has no form in it in 'a'"),
        ({"a": np.timedelta64(1, "M")}, "timedelta"),
        ({"a": b"\xff"}, "bytes has no form"),
        ({"a": 2**64}, "more than 64 bits in 'a'"),
        ({"a": np.array([2**70], dtype=object)}, "more than 64 bits"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "payload",
)
def test_what_has_no_form_in_json_is_named(payload: dict[Any, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        checked_payload(payload)


def test_a_payload_within_itself() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = [endless]
    with pytest.raises(InputError, match="more than 64 deep"):
        checked_payload(endless)


def test_sets_are_the_same_in_every_run() -> None:
    code = (
        "from crl_qdrant.common.points import checked_payload as c; import json;"
        "print(json.dumps(c({'a': {'red','green','blue',1,None,('x','y')}})))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "123"
    }
    assert len(runs) == 1
