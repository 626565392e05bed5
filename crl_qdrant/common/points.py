"""Ids and payloads as Qdrant takes them."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from operator import index
from typing import Any, Final, TypeAlias

import numpy as np
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from crl_qdrant.errors import InputError

__all__ = ["Payload", "PointId", "at_path", "checked_payload", "id_of_key", "path_parts", "point_id", "qdrant_path"]

_DEEPEST: Final = 64
"""Levels of a payload: Qdrant Edge cannot read its log again where there are twice as many, nor a collection then."""

_PART: Final = re.compile(r'"([^"]+)"|([^."\[\]]+)')
_PLAIN: Final = re.compile(r"[\w-]+")
_PATH: Final = re.compile(rf"(?:{_PART.pattern})(?:\.(?:{_PART.pattern}))*")

PointId: TypeAlias = "int | str"
Payload: TypeAlias = dict[str, Any]


def point_id(value: object) -> PointId:
    """An id in the one form that it has everywhere: an int from 0 to 2⁶⁴-1, or a UUID as lower-case text.

    Raises:
        InputError: anything else; Qdrant has no other ids.
    """
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, str):
        try:
            return str(uuid.UUID(value))
        except ValueError:
            pass
    elif not isinstance(value, bool) and hasattr(value, "__index__"):
        with suppress(TypeError):  # arrays have it too, and few can
            number = index(value)
            if 0 <= number < 1 << 64:
                return number
    raise InputError(
        f"a point's id is an integer from 0 to 2^64-1 or a UUID, got {value!r}; crl_qdrant.id_of_key gives a key's id"
    )


def checked_payload(payload: Mapping[str, Any] | None) -> Payload:
    """The payload as plain JSON values: dates, UUIDs, NumPy's numbers, … become what JSON has for them, NaN null.

    Raises:
        InputError: not a mapping, or with a value that JSON does not have, a whole number of more than 64 bits, or
            nested more than 64 deep.
    """
    if payload is None:
        return {}
    if not isinstance(payload, Mapping):
        raise InputError(f"a payload is a dict, got {type(payload).__name__}")
    try:
        plain: Payload = to_jsonable_python(dict(payload), inf_nan_mode="null", fallback=_from_numpy)
        to_json(plain)  # a text with half a character is refused here
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"the payload cannot be stored as JSON: {error}") from error
    level: list[Any] = [plain]
    for _ in range(_DEEPEST):
        within = [each for part in level for each in (part.values() if isinstance(part, dict) else part)]
        for each in within:
            if isinstance(each, int) and not -(1 << 63) <= each < 1 << 64:
                raise InputError("the payload has a whole number of more than 64 bits; store it as a text")
        level = [each for each in within if isinstance(each, (dict, list))]
        if not level:
            return plain
    raise InputError(f"the payload has lists or objects in each other, more than {_DEEPEST} deep; store it flatter")


def path_parts(key: str) -> list[str]:
    """The parts of a field's name: "a.b" is b in a, and 'a."b.c"' b.c in a, as in Qdrant's filters.

    Raises:
        InputError: no such name; a field within lists ("a[].b") has several values, and is none here.
    """
    if not isinstance(key, str) or not _PATH.fullmatch(key):
        raise InputError(f'a field\'s name is like brand, crl.colour or crl."a.b", got {key!r:.80}')
    return [quoted or plain for quoted, plain in _PART.findall(key)]


def qdrant_path(key: str) -> str:
    """A field's name as Qdrant has it: a part with blanks or other signs in it goes in quotes, 'a."in stock"'.

    What is no name as `path_parts` has it ("a[].b") stays as it is.
    """
    if not _PATH.fullmatch(key):
        return key
    return ".".join(part if _PLAIN.fullmatch(part) else f'"{part}"' for part in path_parts(key))


def at_path(payload: Payload, key: str) -> Any:
    """The value of a field, named as `path_parts` has it; None where there is none."""
    value: Any = payload
    for part in path_parts(key):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def id_of_key(key: str) -> PointId:
    """The id of what a shop calls `key`: the key itself where Qdrant can have it, else a UUID, always the same one.

    "0042" and "42" are different keys, so only a number written the usual way is taken as one.
    """
    if key.isascii() and key.isdecimal() and len(key) <= 20 and str(int(key)) == key and int(key) < 1 << 64:
        return int(key)
    try:
        return str(uuid.UUID(key))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, key))


def _from_numpy(value: Any) -> Any:
    if isinstance(value, np.generic):
        plain = value.item()
        return None if isinstance(plain, float) and not math.isfinite(plain) else plain
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
