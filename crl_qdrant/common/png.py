"""PNG files whose texts or colour profile are larger than Pillow accepts: the same image without what is too large."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

__all__ = ["trim_png"]

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MOST_TEXT: Final = 1 << 16
"""Bytes of a text chunk that is kept: an orientation or other metadata, no more."""

_MOST_TEXTS: Final = 100
_MOST_PROFILE: Final = 16 << 20


def trim_png(content: bytes) -> tuple[bytes, bytes | None]:
    """Return the file without large texts and without its colour profile, and the profile itself.

    What is no PNG comes back unchanged. A profile of more than 16 MiB is dropped.
    """
    if not content.startswith(_SIGNATURE):
        return content, None
    kept: list[bytes] = [_SIGNATURE]
    profile: bytes | None = None
    texts = 0
    for kind, data, whole in _chunks(content):
        if kind == b"iCCP":
            profile = _inflate(data.partition(b"\0")[2][1:], _MOST_PROFILE)
        elif kind not in (b"tEXt", b"zTXt", b"iTXt"):
            kept.append(whole)
        elif texts < _MOST_TEXTS and _is_short(kind, data):
            texts += 1
            kept.append(whole)
    return b"".join(kept), profile


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield each chunk's kind, its data, and all of it with length and checksum; the last one may be cut short."""
    at = len(_SIGNATURE)
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        yield kind, content[at + 8 : at + 8 + length], content[at:end]
        at = end


def _is_short(kind: bytes, data: bytes) -> bool:
    text = data.partition(b"\0")[2]  # after the keyword
    compressed = kind == b"zTXt" or text[:1] == b"\1"
    if kind == b"zTXt":
        text = text[1:]
    elif kind == b"iTXt":
        text = text[2:].split(b"\0", 2)[-1]
    inflated = _inflate(text, _MOST_TEXT) if compressed and kind != b"tEXt" else text
    return inflated is not None and len(inflated) <= _MOST_TEXT


def _inflate(data: bytes, most: int) -> bytes | None:
    """Return the inflated data, or None where it is damaged or longer than `most`."""
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(data, most)
    except zlib.error:
        return None
    return None if stream.unconsumed_tail else inflated
