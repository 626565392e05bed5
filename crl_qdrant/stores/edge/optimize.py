"""Builds the indexes of a shard of Qdrant Edge in a process of its own.

Edge holds Python's lock for as long as it works, which for this is minutes where there are many points: in the caller's
own process all other threads and the event loop would wait, and Ctrl-C would not be heard.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import qdrant_edge as edge

from crl_qdrant.errors import StoreError
from crl_qdrant.stores.edge.lock import DirectoryLock

__all__ = ["optimize_shard"]

_SEEN: Final = 500
_PROGRAM: Final = """
import os, signal, sys

_, shard, packages, parent = sys.argv
if sys.platform == "linux":  # a shard must not stay locked where its owner was killed
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(parent):
        sys.exit("its owner is gone")
sys.path.append(packages)
import qdrant_edge

opened = qdrant_edge.EdgeShard.load(shard)
opened.optimize()
# only now do the segments go that were rewritten; they would not know of later changes of the vectors
opened.flush()
opened.close()
"""


def optimize_shard(shard: Path, hold: DirectoryLock) -> None:
    """Build the indexes of a shard that nobody has open. Stopped, it leaves the shard as good as it was.

    Args:
        shard: where it is.
        hold: on the collection's directory; the other process has it too, so that the directory is not free before
            both are gone.

    Raises:
        StoreError: if the process could not be started, or failed; the message has its last lines.
    """
    packages = Path(edge.__file__).parents[1]
    command = [sys.executable, "-I", "-c", _PROGRAM, str(shard), str(packages), str(os.getpid())]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            errors="replace",
            pass_fds=() if sys.platform == "win32" else (hold.fileno(),),
        )
    except OSError as error:
        raise StoreError(f"building the index: {sys.executable!r} cannot be started for it: {error}") from error
    with process:
        try:
            _, said = process.communicate()
        except BaseException:
            process.kill()
            process.wait()  # until then it holds the shard
            raise
    if process.returncode:
        raise StoreError(f"building the index failed ({process.returncode}): {said.strip()[-_SEEN:]}")
