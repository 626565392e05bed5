"""Ids and payloads as Qdrant takes them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from operator import index
from typing import Any, Final, TypeAlias

from crl_qdrant.common.json_values import json_object
from crl_qdrant.errors import InputError

__all__ = ["Payload", "PointId", "at_path", "checked_payload", "path_parts", "point_id", "qdrant_path"]

_PART: Final = re.compile(r'"([^"]+)"|([^."\[\]]+)')
_PLAIN: Final = re.compile(r"[\w-]+")
_PATH: Final = re.compile(rf"(?:{_PART.pattern})(?:\.(?:{_PART.pattern}))*")

PointId: TypeAlias = "int | str"
Payload: TypeAlias = dict[str, Any]


def point_id(value: object) -> PointId:
    """Return an id in the one form that it has everywhere: an int from 0 to 2⁶⁴-1, or a UUID as lower-case text.

    Raises:
        InputError: if it is anything else; Qdrant has no other ids.
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
        f"a point's id must be an integer from 0 to 2^64-1 or a UUID, got {value!r:.80}; "
        "crl_qdrant.id_of_key gives a key's id"
    )


def checked_payload(payload: Mapping[str, Any] | None) -> Payload:
    """Return the payload as plain JSON values, as `json_object` makes them; None is an empty one.

    Raises:
        InputError: if it is not a mapping, or as `json_object` says.
    """
    if payload is None:
        return {}
    if not isinstance(payload, Mapping):
        raise InputError(f"a payload must be a dict, got {type(payload).__name__}")
    return json_object(payload)


def path_parts(key: str) -> list[str]:
    """Return the parts of a field's name: "a.b" is b in a, and 'a."b.c"' b.c in a, as in Qdrant's filters.

    Raises:
        InputError: if it is no such name; a field within lists ("a[].b") has several values, and is none here.
    """
    if not isinstance(key, str) or not _PATH.fullmatch(key):
        raise InputError(f'a field\'s name must be like brand, crl.colour or crl."a.b", got {key!r:.80}')
    return [quoted or plain for quoted, plain in _PART.findall(key)]


def qdrant_path(key: str) -> str:
    """Return a field's name as Qdrant has it: a part with blanks or other signs in it goes in quotes, 'a."in stock"'.

    What is no name as `path_parts` has it ("a[].b") stays as it is.
    """
    if isinstance(key, str) and not _PATH.fullmatch(key):
        return key
    return ".".join(part if _PLAIN.fullmatch(part) else f'"{part}"' for part in path_parts(key))


def at_path(payload: Payload, key: str) -> Any:
    """Return the value of a field, named as `path_parts` has it; None where there is none."""
    value: Any = payload
    for part in path_parts(key):
        value = value.get(part) if isinstance(value, dict) else None
    return value
