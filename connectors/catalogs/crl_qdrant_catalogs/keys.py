"""A shop's keys -> Qdrant's ids."""

from __future__ import annotations

import uuid

__all__ = ["IMAGE_ENDINGS", "id_of_key"]

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def id_of_key(key: str) -> int | str:
    """The id of an item: the key itself where Qdrant can have it, else the UUID that always stands for it.

    "0042" and "42" are different keys, so only a number written the usual way is taken as one.
    """
    if key.isascii() and key.isdecimal() and str(int(key)) == key and int(key) < 1 << 64:
        return int(key)
    try:
        return str(uuid.UUID(key))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, key))
