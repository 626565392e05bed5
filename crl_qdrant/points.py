"""Ids and payloads as Qdrant takes them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from operator import index
from typing import Any, TypeAlias

from pydantic_core import PydanticSerializationError, to_jsonable_python

from crl_qdrant.errors import InputError

__all__ = ["Payload", "PointId", "checked_payload", "point_id"]

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
        number = index(value)
        if 0 <= number < 1 << 64:
            return number
    raise InputError(
        f"a point's id is an integer from 0 to 2^64-1 or a UUID, got {value!r}; for other keys use "
        "uuid.uuid5(uuid.NAMESPACE_URL, key) and keep the key in the payload"
    )


def checked_payload(payload: Mapping[str, Any] | None) -> Payload:
    """The payload as plain JSON values; dates, UUIDs, decimals and enums become what JSON has for them.

    Raises:
        InputError: not a mapping, or with a value that JSON does not have (NaN, a numpy number, an object).
    """
    if payload is None:
        return {}
    if not isinstance(payload, Mapping):
        raise InputError(f"a payload is a dict, got {type(payload).__name__}")
    try:
        plain: Payload = to_jsonable_python(dict(payload))
        json.dumps(plain, allow_nan=False)
    except (PydanticSerializationError, ValueError, TypeError) as error:
        raise InputError(f"the payload {payload!r:.200} cannot be stored as JSON: {error}") from error
    return plain
