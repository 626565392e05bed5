"""Checks of plain arguments that many calls take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from operator import index
from typing import Any, Final

from qdrant_client import models

from crl_qdrant.errors import FilterError, InputError

__all__ = ["LARGEST_SEED", "checked_filter", "finite_number", "listed", "whole_number"]


LARGEST_SEED: Final = 2**32 - 1
"""What every library with a random generator takes."""


def whole_number(name: str, value: Any, *, least: int, most: int | None = None) -> int:
    """`value` as an int; NumPy's integers are as good as Python's.

    Raises:
        InputError: no whole number, or below `least`, or above `most`.
    """
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        above = "" if most is None else f" and at most {most}"
        raise InputError(f"{name} must be a whole number and at least {least}{above}, got {value!r}")
    return number


def finite_number(name: str, value: Any) -> float:
    """`value` as a float; NumPy's numbers are as good as Python's.

    Raises:
        InputError: no number, or infinite or NaN.
    """
    if type(value) is float and -math.inf < value < math.inf:  # nearly always, and a search has several
        return value
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not abs(number) < math.inf:
        raise InputError(f"{name} must be a number, got {value!r:.80}")
    return number


def listed(name: str, values: Any) -> list[Any]:
    """`values` as a list; a text or a mapping is none.

    Raises:
        InputError: nothing that can be listed.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{name} is a list, got {values!r:.80}")
    return list(values)


def checked_filter(query_filter: Any) -> models.Filter | None:
    """The filter as it is.

    Raises:
        FilterError: not a `qdrant_client.models.Filter`.
    """
    if query_filter is not None and not isinstance(query_filter, models.Filter):
        raise FilterError(
            f"query_filter is a qdrant_client.models.Filter, got {type(query_filter).__name__}; "
            "conditions go in Filter(must=[…])"
        )
    return query_filter
