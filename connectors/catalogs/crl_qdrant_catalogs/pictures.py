"""Which files are pictures, and how a file's name becomes text."""

from __future__ import annotations

from pathlib import Path

__all__ = ["IMAGE_ENDINGS", "as_text", "is_file"]

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def as_text(path: Path) -> str:
    """The path with "/", as text that can be stored: bytes that are no UTF-8, as old archives have, are written out."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that can be none is no file either."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
