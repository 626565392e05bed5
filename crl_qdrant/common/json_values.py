"""Values of a payload -> what JSON has for them, the same in every run."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Callable, Iterable, Mapping, Set
from collections.abc import Collection as SizedIterable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import GeneratorType
from typing import Any, Final
from uuid import UUID

import numpy as np
from pydantic_core import PydanticSerializationError, to_jsonable_python

from crl_qdrant.errors import InputError

__all__ = ["json_object"]

_DEEPEST: Final = 64
"""Levels of a payload: Qdrant Edge cannot read its log again where there are twice as many, nor a collection then."""

_LEAVES: Final = (datetime.date, datetime.time, datetime.timedelta, UUID)


def json_object(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a mapping as JSON has it: dates as ISO 8601, decimals and fractions as numbers, NaN and NaT as null.

    Sets become sorted lists, and keys that are numbers or dates become texts.

    Raises:
        InputError: if a value has no form in JSON, or would lose digits; if two keys become the same text; if a whole
            number has more than 64 bits; or if values are nested more than 64 deep.
    """
    return _object(values, (), 0)


def _object(values: Mapping[Any, Any], path: tuple[str, ...], depth: int) -> dict[str, Any]:
    if depth >= _DEEPEST:
        raise InputError(f"the payload has lists or objects in each other, more than {_DEEPEST} deep; store it flatter")
    plain: dict[str, Any] = {}
    for key, value in values.items():
        name = _key(key, path)
        if name in plain:
            raise InputError(f"the payload has two keys that both become {name!r} in JSON{_at(path)}; rename one")
        plain[name] = _value(value, (*path, name), depth + 1)
    return plain


def _key(key: Any, path: tuple[str, ...]) -> str:
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return _text(key, path)
    if isinstance(key, (bool, np.bool_)):
        return "true" if key else "false"
    if key is None or isinstance(key, (int, float, np.integer, np.floating)):
        return str(key)
    if isinstance(key, _LEAVES):
        return str(to_jsonable_python(key))
    raise InputError(f"a key of the payload must be a text, got {key!r:.80}{_at(path)}; convert it with str()")


def _value(value: Any, path: tuple[str, ...], depth: int) -> Any:
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, Enum):
        return _value(value.value, path, depth)
    for kinds, convert in _KINDS:
        if isinstance(value, kinds):
            return convert(value, path, depth)
    return _other(value, path, depth)


def _text(value: str, path: tuple[str, ...]) -> str:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the payload has a text that is not Unicode{_at(path)}: {error.reason}") from error
    return text


def _whole(value: Any, path: tuple[str, ...], depth: int) -> int:
    number = int(value)
    if not -(1 << 63) <= number < 1 << 64:
        raise InputError(f"the payload has a whole number of more than 64 bits{_at(path)}; store it as a text")
    return number


def _real(value: Any, path: tuple[str, ...], depth: int) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _exact(value: Decimal | Fraction, path: tuple[str, ...], depth: int) -> int | float | None:
    """Return a decimal or fraction as the number that searches compare; it must read back as the same."""
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    try:
        number = float(value)
        if abs(number) < 1 << 53 and int(value) == value:
            return int(value)
        if isinstance(value, Decimal):
            same = Decimal(repr(number)) == value
        else:
            same = Fraction(number).limit_denominator(value.denominator) == value
    except OverflowError:
        same = False
    if not same:
        raise InputError(
            f"the payload has {value!r:.80}{_at(path)}, which a number in JSON cannot hold exactly; "
            "convert it with float() or str()"
        )
    return number


def _date(value: Any, path: tuple[str, ...], depth: int) -> Any:
    if type(value).__name__ == "NaTType":  # pandas' missing date is a date
        return None
    return to_jsonable_python(value)


def _numpy_date(value: Any, path: tuple[str, ...], depth: int) -> Any:
    if np.isnat(value):
        return None
    unit = np.datetime_data(value.dtype)[0]
    if unit in ("ns", "ps", "fs", "as"):
        coarse = value.astype(value.dtype.str[:2] + "8[us]")
        if coarse == value:
            value = coarse
    plain = value.item()
    if isinstance(plain, _LEAVES):
        return to_jsonable_python(plain)
    if isinstance(value, np.datetime64):
        return str(value)  # finer than microseconds, or a year that datetime does not have
    raise InputError(f"the payload has the timedelta {value!r:.80}{_at(path)}; convert it to a number of seconds")


def _array(value: Any, path: tuple[str, ...], depth: int) -> Any:
    if value.ndim == 0:
        masked = value is np.ma.masked
        return None if masked else _value(value.item() if value.dtype.kind not in "mM" else value[()], path, depth)
    return _items(value.tolist() if value.dtype.kind in "biuf" and value.dtype.itemsize <= 8 else value, path, depth)


def _items(values: Iterable[Any], path: tuple[str, ...], depth: int) -> list[Any]:
    if depth >= _DEEPEST:
        raise InputError(f"the payload has lists or objects in each other, more than {_DEEPEST} deep; store it flatter")
    return [_value(each, (*path, f"[{at}]"), depth + 1) for at, each in enumerate(values)]


def _set(values: Set[Any], path: tuple[str, ...], depth: int) -> list[Any]:
    return sorted(_items(values, path, depth), key=lambda each: (type(each).__name__, _order(each)))


def _order(value: Any) -> Any:
    return value if isinstance(value, (str, bool, int, float)) else json.dumps(value, sort_keys=True)


def _mapping(values: Mapping[Any, Any], path: tuple[str, ...], depth: int) -> dict[str, Any]:
    return _object(values, path, depth)


def _generic(value: Any, path: tuple[str, ...], depth: int) -> Any:
    plain = value.item()
    if isinstance(plain, np.generic):
        raise _no_form(value, path)
    return _value(plain, path, depth)


_KINDS: Final[tuple[tuple[Any, Callable[[Any, tuple[str, ...], int], Any]], ...]] = (
    (str, lambda value, path, depth: _text(value, path)),
    ((np.datetime64, np.timedelta64), _numpy_date),  # the second counts as an integer
    ((int, np.integer), _whole),
    ((float, np.floating), _real),
    ((Decimal, Fraction), _exact),
    (_LEAVES, _date),
    (np.ndarray, _array),
    (np.generic, _generic),
    (Mapping, _mapping),
    (Set, _set),
)


def _other(value: Any, path: tuple[str, ...], depth: int) -> Any:
    name = type(value).__name__
    if name in ("NAType", "NaTType"):  # pandas' missing values
        return None
    if isinstance(value, complex):
        raise _no_form(value, path)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return _object(fields, path, depth)
    if hasattr(value, "model_dump"):  # pydantic
        return _value(value.model_dump(), path, depth)
    if not isinstance(value, (bytes, bytearray, memoryview)):
        if hasattr(value, "__array__") and not isinstance(value, type):
            return _array(np.asarray(value), path, depth)
        if isinstance(value, (SizedIterable, GeneratorType)) and not name.startswith("IPv"):
            return _items(value, path, depth)
    try:
        plain = to_jsonable_python(value)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise _no_form(value, path) from error
    return plain if plain is None or isinstance(plain, (str, int, float)) else _value(plain, path, depth)


def _no_form(value: Any, path: tuple[str, ...]) -> InputError:
    return InputError(
        f"the payload cannot be stored as JSON: {type(value).__name__} has no form in it{_at(path)}; convert it first"
    )


def _at(path: tuple[str, ...]) -> str:
    """Return where in the payload a value is, for a message."""
    return f" in {'.'.join(path).replace('.[', '[')!r}" if path else ""
