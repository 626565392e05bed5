"""Who has a collection's directory: one object of one process, from opening it to closing it.

Qdrant Edge has a lock of its own, and is not asked while somebody else has the directory: to load a shard that is in
use is refused, but only after files have been changed that its owner goes on with.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Final

import portalocker

__all__ = ["DirectoryLock"]

_FILE: Final = "lock"
_WAIT_S: Final = 0.5  # a process that was killed does not let go at once
_PAUSE_S: Final = 0.05


class DirectoryLock:
    """The hold on a directory; taken when it is made.

    Raises:
        BlockingIOError: another process, or another object of this one, has it.
        OSError: the directory cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        flags = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
        lock = portalocker.Lock(str(directory / _FILE), mode="a", timeout=_WAIT_S, check_interval=_PAUSE_S, flags=flags)
        try:
            self._file = lock.acquire()
        except portalocker.LockException as error:
            raise BlockingIOError(f"{directory} is in use") from error
        self._let_go = weakref.finalize(self, _release, lock, os.getpid())  # also where nobody closes the collection

    def fileno(self) -> int:
        """The file descriptor by which a child process, where it inherits it, has the directory too."""
        return self._file.fileno()

    def release(self) -> None:
        """Let others have the directory."""
        self._let_go()


def _release(lock: portalocker.Lock, owner: int) -> None:
    if os.getpid() == owner:  # a fork has the same lock, which is not its to give back
        lock.release()
