"""Checks of plain arguments that many calls take."""

from __future__ import annotations

from operator import index
from typing import Any

from crl_qdrant.errors import InputError

__all__ = ["whole_number"]


def whole_number(name: str, value: Any, *, least: int) -> int:
    """`value` as an int; NumPy's integers are as good as Python's.

    Raises:
        InputError: no whole number, or below `least`.
    """
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise InputError(f"{name} must be a whole number and at least {least}, got {value!r}")
    return number
