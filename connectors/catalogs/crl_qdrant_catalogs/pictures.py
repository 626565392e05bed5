"""Image files: which they are, where they may be, and their names as text."""

from __future__ import annotations

from pathlib import Path

from crl_qdrant import CatalogOptions, ImageError, path_below

__all__ = ["IMAGE_ENDINGS", "as_text", "image_below", "is_file"]

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def as_text(path: Path) -> str:
    """Return the path with "/", as text that can be stored: bytes that are not UTF-8 are written out, as \\xe9."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def image_below(folder: Path, name: Path, options: CatalogOptions) -> tuple[Path | None, ImageError | None]:
    """Return the path of an image below the folder, or the error where it is outside and that is not allowed."""
    try:
        return path_below(folder, name, outside=options.outside), None
    except ImageError as error:
        return None, error


def is_file(path: Path) -> bool:
    """Whether there is such a file; an impossible name is no file either."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
