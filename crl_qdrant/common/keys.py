"""Keys that a shop gives its products -> ids that Qdrant can have."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from crl_qdrant.common.points import PointId
from crl_qdrant.errors import InputError

__all__ = ["former_ids_of_key", "has_key", "id_of_key"]


def id_of_key(key: str) -> PointId:
    """Return the id of a shop's key: the key itself where it is written as Qdrant writes ids, else a UUID made of it.

    Different keys have different ids: "0042" is not 42, and a UUID in capitals or without hyphens is another key. The
    two Unicode forms of one name (NFC, NFD) are the same key.

    Raises:
        InputError: if the key is not a text.
    """
    text = _normal(key)
    if text.isascii() and text.isdecimal() and len(text) <= 20 and str(int(text)) == text and int(text) < 1 << 64:
        return int(text)
    if _as_uuid(text) == text:
        return text
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def former_ids_of_key(key: str) -> list[PointId]:
    """Return the ids that version 0.1.0 gave the key, where they are others than today's.

    It took every writing of a UUID for the UUID, and the two Unicode forms of a name for two keys. A point of such an
    id may be another key's: see `has_key`.

    Raises:
        InputError: if the key is not a text.
    """
    text = _normal(key)
    forms = dict.fromkeys([text, unicodedata.normalize("NFD", text)])
    former = dict.fromkeys(_as_uuid(form) or str(uuid.uuid5(uuid.NAMESPACE_URL, form)) for form in forms)
    today = id_of_key(key)
    return [each for each in former if each != today and not isinstance(today, int)]


def has_key(payload: Mapping[str, Any] | None, key: str) -> bool:
    """Whether a stored point is the key's: catalogue readers keep the key as one of the payload's texts."""
    text = _normal(key)
    return any(_normal(value) == text for value in _texts(payload or {}))


def _texts(payload: Mapping[str, Any]) -> Iterator[str]:
    return (value for value in payload.values() if isinstance(value, str))


def _normal(key: str) -> str:
    """Return the key in NFC; bytes that are no UTF-8 (a file's name, a command line) are written out, as \\xe9."""
    if not isinstance(key, str):
        raise InputError(f"a key must be a text, got {key!r:.80}")
    try:
        text = key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError as error:
        raise InputError(f"a key must be Unicode text, got {key!r:.80}") from error
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _as_uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
