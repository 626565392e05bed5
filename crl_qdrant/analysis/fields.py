"""What a task finds, written to the points' payloads for filters and facets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import SCORE, SOURCE_KEY, TAGS_KEY
from crl_qdrant.stores import Record, Store

__all__ = ["checked_field", "write_field"]

_FIELD: Final = re.compile(r"[\w-]+(\.[\w-]+)*")
_DEEPEST: Final = 16  # parts of a name
_AT_ONCE: Final = 1000


def checked_field(field: str | None) -> str | None:
    """The name of a payload field, "crl.group" being group in crl; checked before anything takes time.

    Raises:
        InputError: a name that cannot be filtered by.
    """
    if field is None:
        return None
    own = (SOURCE_KEY, TAGS_KEY)
    if not isinstance(field, str) or not _FIELD.fullmatch(field) or field in own or field.count(".") >= _DEEPEST:
        raise InputError(
            f'field is a name of letters, digits, "_" and "-", or up to {_DEEPEST} with "." between them, '
            f"got {field!r:.99}"
        )
    return field


def write_field(store: Store, field: str, ids: Sequence[PointId], values: Sequence[Payload]) -> None:
    """Give points one value each in a field, and others beside it; the rest of their payloads stays.

    Args:
        store: where to.
        field: as `checked_field` gives it.
        ids: N points that exist.
        values: N payloads: what is to be added to the field's name is the key, so {"": 7, "_score": 0.5} writes
            `group` and `group_score`.

    Raises:
        InputError: a point has something else where the field's parent goes; nothing is written then.
    """
    key, _, name = field.rpartition(".")
    # a tag that was in this place had its score beside it; None removes it
    gone = {name + SCORE: None} if key == TAGS_KEY else {}
    if key:
        for start in range(0, len(ids), _AT_ONCE):
            for record in store.retrieve(ids[start : start + _AT_ONCE], with_payload=[key.partition(".")[0]]):
                _check_parent(record, key)
    for start in range(0, len(ids), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        named = [{**gone, **{name + suffix: value for suffix, value in each.items()}} for each in values[part]]
        store.set_payload(ids[part], named, key=key or None)


def _check_parent(record: Record, key: str) -> None:
    value: Any = record.payload or {}
    for part in key.split("."):
        value = value.get(part)
        if value is None:
            return
        if not isinstance(value, dict):
            raise InputError(
                f"the payload of point {record.id} has {part!r} as {value!r:.60}, so nothing can be written below it; "
                "choose another field"
            )
