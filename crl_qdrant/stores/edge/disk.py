"""Space on the disk, checked before Qdrant Edge writes: its mapped files kill the process where the disk is full."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import Payload
from crl_qdrant.errors import StoreError

__all__ = ["bytes_of", "bytes_on_disk", "require_space"]

_SPARE: Final = 64 << 20  # 64 MiB: the next file of the log, and what other programs write meanwhile
_COPIES: Final = 2  # one in the log, one in the segments
_BYTES_OF_A_CHARACTER: Final = 4


def require_space(directory: Path, size: int = 0) -> None:
    """Check that a write of `size` bytes fits, in the log and in the segments.

    Raises:
        StoreError: if it does not; nothing was written.
        OSError: if the directory is not there.
    """
    free, needed = shutil.disk_usage(directory).free, _COPIES * size + _SPARE
    if free < needed:
        raise StoreError(
            f"the disk of {directory} is full: {free / 1e6:,.0f} MB are free, and this write needs "
            f"{needed / 1e6:,.0f} MB; free some space and repeat the call"
        )


def bytes_of(vectors: Mapping[str, Float32Array], payloads: Sequence[Payload] = ()) -> int:
    """Size of points with these named vectors [N, size] and payloads; an upper bound for the payloads."""
    return sum(rows.nbytes for rows in vectors.values()) + _BYTES_OF_A_CHARACTER * sum(map(len, map(str, payloads)))


def bytes_on_disk(directory: Path) -> int:
    """Size of a directory's files without their holes."""
    sizes = (path.stat() for path in directory.rglob("*") if path.is_file())
    return sum(getattr(each, "st_blocks", each.st_size // 512 + 1) * 512 for each in sizes)
