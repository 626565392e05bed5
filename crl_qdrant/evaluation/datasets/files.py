"""Files of a data set: required, read, and named in errors, the first few of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crl_qdrant.errors import DatasetError

__all__ = ["few", "lines", "read_json", "require", "require_images", "spread"]


def require(paths: Iterable[Path], *, layout: str) -> None:
    """Raise a DatasetError with the layout, and where to get the data, unless all paths are there."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise DatasetError(f"there is no {few(missing)}. {layout}")


def require_images(paths: Sequence[Path], *, layout: str) -> None:
    """Raise a DatasetError that names the first few image files that are not there."""
    # one listing of each folder, since asking for tens of thousands of files one by one takes long on network drives
    there = {path for folder in {path.parent for path in paths} if folder.is_dir() for path in folder.iterdir()}
    missing = [str(path) for path in dict.fromkeys(paths) if path not in there]
    if missing:
        raise DatasetError(f"{len(missing)} of {len(set(paths))} images are missing: {few(missing)}. {layout}")


def read_json(path: Path) -> Any:
    """The file's content.

    Raises:
        DatasetError: not JSON, or an object that has a key twice, of which JSON readers keep the last unasked.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=lambda pairs: _object(pairs, path))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as JSON: {error}") from error


def lines(path: Path) -> list[str]:
    """The lines of a text file, without blanks around them; blank lines at its end are left out.

    Raises:
        DatasetError: the file cannot be read.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def few(names: Sequence[object], most: int = 3) -> str:
    """The first few of many, for a message."""
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def spread(number: int, limit: int | None) -> list[int]:
    """At most `limit` positions among `number`, evenly spread; all where there is no limit."""
    if limit is None or limit >= number:
        return list(range(number))
    return [int(position) for position in np.linspace(0, number - 1, limit)]


def _object(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        raise DatasetError(f"{path} has entries more than once: {few(repeated)}")
    return content
