"""Items to store, and the report of what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from crl_qdrant.common.images import ImageInput
from crl_qdrant.errors import CRLError

__all__ = ["PROBABILITY", "SCORE", "SOURCE_KEY", "TAGS_KEY", "Item", "OnError", "Rejected", "Report"]

OnError: TypeAlias = Literal["skip", "raise"]

SOURCE_KEY: Final = "crl_source"
"""Payload key under which `ingest` keeps the digest of an item's content, to know it again."""

TAGS_KEY: Final = "crl"
"""Payload key that holds all criteria's tags."""

SCORE: Final = "_score"
PROBABILITY: Final = "_probability"
"""Endings of the payload keys beside a tag or a label."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item to store: an id, an image or an embedding, and a payload.

    Attributes:
        id: an integer from 0 to 2⁶⁴-1, or a UUID.
        image: path, bytes, open file or PIL image; ignored where an embedding is given.
        embedding: [d], any float type and length.
        payload: JSON values.
        key: the shop's name for the item, for messages and to find a point that an older version stored; None: the id.
        error: found by a reader, an image outside its folder for one: the item is rejected with it.
    """

    id: Any
    image: ImageInput | None = None
    embedding: Any = None
    payload: Mapping[str, Any] | None = None
    key: str | None = None
    error: CRLError | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that was not stored, and why."""

    id: Any
    error: CRLError
    key: str | None = None

    def __str__(self) -> str:
        text = f"{self.id if self.key is None else self.key}: {self.error}"
        return text.encode("utf-8", "backslashreplace").decode()  # half of a letter, which no log or page could hold


@dataclass(slots=True)
class Report:
    """The outcome of `add` or `ingest`.

    Attributes:
        written: how many were written.
        unchanged: how many were stored already with the same content; `ingest` looks.
        rejected: which were not written, and why.
        replaced: how many of those written took a stored point's place, its payload too; `ingest` looks.
    """

    written: int = 0
    unchanged: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    replaced: int = 0
