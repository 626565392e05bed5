"""Checks of plain arguments that many calls take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from operator import index
from typing import Any, Final, TYPE_CHECKING

import numpy as np

from crl_qdrant.errors import FilterError, InputError

if TYPE_CHECKING:
    from qdrant_client import models

__all__ = [
    "LARGEST_BYTES",
    "LARGEST_COUNT",
    "LARGEST_SEED",
    "checked_filter",
    "finite_number",
    "is_scalar",
    "listed",
    "quoted",
    "whole_number",
]


LARGEST_SEED: Final = 2**32 - 1
"""The largest seed that every library with a random generator takes."""

LARGEST_COUNT: Final = 2**31 - 1
"""The largest number of hits, points or steps: the product of two such numbers still fits the engine's 64 bits."""

LARGEST_BYTES: Final = 2**63 - 1
"""The largest number of bytes."""


def whole_number(
    name: str, value: Any, *, least: int, most: int | None = None, error: type[InputError] = InputError
) -> int:
    """Return `value` as an int; NumPy's integers are as good as Python's. Without `most`, it is a count of something.

    Raises:
        InputError: if the value is not a whole number, or not from `least` to `most`; of the kind `error`.
    """
    try:
        number = None if isinstance(value, (bool, np.bool_)) else index(value)
    except TypeError:
        number = None
    if number is None:
        raise error(f"{quoted(name)} must be a whole number, got {value!r:.80}")
    if most is None and number <= LARGEST_COUNT:
        _check_range(name, value, number, least=least, error=error)
    else:
        _check_range(name, value, number, least=least, most=LARGEST_COUNT if most is None else most, error=error)
    return number


def finite_number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    error: type[InputError] = InputError,
) -> float:
    """Return `value` as a float; NumPy's numbers are as good as Python's.

    Args:
        name: of the argument, for the message.
        value: the number.
        least, most: the range, its ends included.
        above, below: the range, its ends excluded.
        error: the kind of error.

    Raises:
        InputError: if the value is not a number, infinite, NaN or out of range.
    """
    if type(value) is float and -math.inf < value < math.inf:  # nearly always, and a search has several
        number = value
    else:
        try:
            number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
        except OverflowError:
            number = math.inf
        if not abs(number) < math.inf:
            raise error(f"{quoted(name)} must be a number, got {value!r:.80}")
    _check_range(name, value, number, least=least, most=most, error=error)
    if (above is not None and number <= above) or (below is not None and number >= below):
        ends = [f"{word} {end:g}" for word, end in (("above", above), ("below", below)) if end is not None]
        raise error(f"{quoted(name)} must be {' and '.join(ends)}, got {value!r:.80}")
    return number


def quoted(name: str) -> str:
    """Return an argument's name for a message: in backticks, unless it is a description of several words."""
    return f"`{name}`" if name.isidentifier() else name


def _check_range(
    name: str,
    value: Any,
    number: float,
    *,
    least: float | None,
    most: float | None = None,
    error: type[InputError],
) -> None:
    if (least is None or number >= least) and (most is None or number <= most):
        return
    if least is None:
        wanted = f"at most {_shown(most)}"
    elif most is None:
        wanted = f"at least {_shown(least)}"
    else:
        wanted = f"from {_shown(least)} to {_shown(most)}"
    raise error(f"{quoted(name)} must be {wanted}, got {value!r:.80}")


def _shown(end: float | None) -> str:
    return str(end) if isinstance(end, int) else f"{end:g}"


def listed(name: str, values: Any) -> list[Any]:
    """Return `values` as a list.

    Raises:
        InputError: if `values` is not iterable, or is a text, a mapping or one of qdrant_client's models.
    """
    model = hasattr(type(values), "model_fields")  # of pydantic, which lists its fields
    if model or isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable) or is_scalar(values):
        raise InputError(f"{quoted(name)} must be a list, got {values!r:.80}")
    return list(values)


def is_scalar(values: Any) -> bool:
    """Whether it is an array of one number without a dimension: it looks iterable, and is not."""
    return getattr(values, "shape", None) == ()


def checked_filter(query_filter: Any) -> models.Filter | None:
    """Return the filter unchanged.

    Raises:
        FilterError: if it is not a `qdrant_client.models.Filter`.
    """
    if query_filter is None:
        return None
    from qdrant_client import models

    if not isinstance(query_filter, models.Filter):
        raise FilterError(
            f"`query_filter` must be a qdrant_client.models.Filter, got {type(query_filter).__name__}; "
            "conditions go in Filter(must=[…])"
        )
    return query_filter
