"""Drafts of a new collection's directory, and the removal of those that killed processes left."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path

from crl_qdrant.stores.edge.lock import DirectoryLock

__all__ = ["make_draft", "remove_drafts_of"]


def make_draft(directory: Path) -> tuple[Path, DirectoryLock]:
    """A new hidden directory beside `directory`, and the lock by which others see that it is being filled.

    Raises:
        OSError: if it cannot be written.
    """
    while True:
        draft = directory.with_name(f".{directory.name}-{uuid.uuid4().hex[:8]}")
        draft.mkdir()
        try:
            return draft, DirectoryLock(draft)
        except (FileNotFoundError, BlockingIOError):
            continue  # somebody took it for a leftover before it was locked


def remove_drafts_of(directory: Path) -> None:
    """Remove the drafts of a collection that nobody is filling any more.

    Raises:
        OSError: if one cannot be removed.
    """
    pattern = re.compile(re.escape(f".{directory.name}-") + "[0-9a-f]{8}")
    if not directory.parent.is_dir():
        return
    for path in directory.parent.iterdir():
        if not pattern.fullmatch(path.name):
            continue
        try:
            lock = DirectoryLock(path, wait_s=0)
        except (BlockingIOError, FileNotFoundError, NotADirectoryError):
            continue
        shutil.rmtree(path, ignore_errors=True)
        lock.release()
