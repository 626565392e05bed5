"""Random inputs, the same in every run: whatever comes in, nothing but an error of ours may come out.

`make fuzz` (FUZZ_EXAMPLES=20000 pytest tests/fuzz) runs long; a plain test run takes a few inputs of each target.
A failure names its seed: FUZZ_SEED=<seed> runs that input alone. A target is a function of a `random.Random`.
"""

from __future__ import annotations

import datetime
import os
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from crl_qdrant import CRLError

__all__ = ["damaged", "fuzz", "odd_key", "odd_text", "odd_value"]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
ALPHABET = "ab01 \"',;:.\n\r\t\\/|{}[]()#@%&*+-_=<>?!~^`$\0\x1b\ufeff\u0308é色𠀀\u202e\ud800"
WORDS = ["", "id", "image", "colour", "red", "crl", "crl_source", "..", "/etc/passwd", "a.b", "nan", "inf", "1e999"]
WORDS += ["0x10", "-0", "550e8400-e29b-41d4-a716-446655440000", "{}", "None", "knee", "others", "x" * 5000]
LEAVES: list[Any] = [None, True, False, 0, 1, -1, 7, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.0, -0.0, 0.5, 1e308]
LEAVES += [1e-320, float("nan"), float("inf"), 1j, b"", b"\xff", bytearray(b"a"), Decimal("1.10"), Decimal("sNaN")]
LEAVES += [Decimal("1E+999999"), Fraction(1, 3), datetime.date.max, datetime.datetime.min, datetime.timedelta.max]
LEAVES += [np.float16(1), np.float32(np.nan), np.longdouble(1.5), np.int8(3), np.uint64(2**64 - 1), np.bool_(True)]
LEAVES += [np.datetime64("NaT"), np.datetime64(2**62, "ns"), np.timedelta64(5, "M"), np.str_("a"), np.complex64(1)]
LEAVES += [
    np.array(1),
    np.array([]),
    np.ones((2, 0)),
    np.ma.masked,
    object(),
    object,
    len,
    ...,
    NotImplemented,
    range(3),
]


def fuzz(target: Callable[[random.Random], object], *, share: float = 1.0) -> None:
    """Run the target on many inputs.

    Args:
        target: makes an input from the generator and hands it to what is tested.
        share: of the usual number of inputs, where one takes long.
    """
    only = os.environ.get("FUZZ_SEED")
    for number in [int(only)] if only else range(max(1, int(EXAMPLES * share))):
        try:
            target(random.Random(f"{target.__name__} {number}"))
        except CRLError as error:
            assert str(error).strip(), f"{target.__name__}, seed {number}: an error that says nothing"
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            pytest.fail(f"{target.__name__}, seed {number}: {type(error).__name__}: {error!s:.300}", pytrace=True)


def odd_text(rng: random.Random, most: int = 12) -> str:
    """Make a text that is short and strange, or a word that means something to us."""
    if rng.random() < 0.4:
        return rng.choice(WORDS)
    return "".join(rng.choices(ALPHABET, k=rng.randrange(most)))


def odd_value(rng: random.Random, depth: int = 3) -> Any:
    """Make any value that a caller might pass, nested or not."""
    kind = rng.randrange(10)
    if depth == 0 or kind < 4:
        return rng.choice(LEAVES)
    if kind < 6:
        return odd_text(rng)
    parts = [odd_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return tuple(parts)
    if kind == 7:
        return {odd_key(rng): part for part in parts}
    if kind == 8:
        return (part for part in parts)
    return parts


def odd_key(rng: random.Random) -> Any:
    """Make a key of a dict: mostly a text, sometimes anything that can be one."""
    if rng.random() < 0.7:
        return odd_text(rng)
    key = rng.choice(LEAVES)
    try:
        hash(key)
    except TypeError:
        return 0
    return key


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Damage a file's content: cut it, change bytes, repeat or insert some."""
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0:
                del changed[at:]
            case 1:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                changed[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
            case 3:
                changed[at:at] = changed[at : at + rng.randrange(64)]
            case _:
                changed[at:at] = rng.randbytes(rng.randrange(8))
    return bytes(changed)
