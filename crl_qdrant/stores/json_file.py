"""JSON in a file that is whole at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["read_json", "remove_drafts", "write_json"]


def read_json(path: Path) -> Any:
    """The JSON value in a file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file's content in one step: written to a draft of its own, flushed to disk, renamed over the file.

    Raises:
        OSError: if it cannot be written; the file is as it was.
    """
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def remove_drafts(path: Path) -> None:
    """Remove what killed writers of a file left beside it; nobody may be writing it."""
    for draft in path.parent.glob(f".{path.name}-*"):
        if re.fullmatch(r"[0-9a-f]{8}", draft.name[-8:]):
            draft.unlink(missing_ok=True)
