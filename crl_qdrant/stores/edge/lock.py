"""The lock on a collection's directory: one object of one process has it, from opening the collection to closing it.

Qdrant Edge has a lock of its own, which is not asked while somebody else has the directory: Edge refuses to load a
shard that is in use, but only after it has changed files that the owner still works with.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Final

import portalocker

from crl_qdrant.errors import StoreError

__all__ = ["DirectoryLock"]

_FILE: Final = "lock"
_WAIT_S: Final = 0.5  # the lock of a process that was killed is not free at once
_PAUSE_S: Final = 0.05


class DirectoryLock:
    """The lock on a directory; taken when it is made.

    Raises:
        BlockingIOError: if another process, or another object of this one, has it.
        OSError: if the directory cannot be written.
    """

    def __init__(self, directory: Path, *, wait_s: float = _WAIT_S) -> None:
        self._path = directory.absolute() / _FILE  # the process may change its working directory
        flags = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
        lock = portalocker.Lock(str(self._path), mode="a", timeout=wait_s, check_interval=_PAUSE_S, flags=flags)
        try:
            self._file = lock.acquire()
        except portalocker.LockException as error:
            raise BlockingIOError(f"{directory} is in use") from error
        self._let_go = weakref.finalize(self, _release, lock, os.getpid())  # also where nobody closes the collection

    def require(self) -> None:
        """Check that the directory is still where it was: writes to files that were removed reach nobody.

        Raises:
            StoreError: if it was removed, moved or replaced.
        """
        if self._file.closed:
            return  # Edge refuses what is done with a closed collection
        try:
            same = os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            same = False
        if not same:
            raise StoreError(
                f"{self._path.parent} was removed, moved or replaced while the collection was open; "
                "put it back, or close the collection and open it where it is now"
            )

    def fileno(self) -> int:
        """The lock's file descriptor; a child process that inherits it has the lock too."""
        return self._file.fileno()

    def release(self) -> None:
        """Let others have the directory."""
        self._let_go()


def _release(lock: portalocker.Lock, owner: int) -> None:
    if os.getpid() == owner:  # a fork has the same lock, which is not its to release
        lock.release()
