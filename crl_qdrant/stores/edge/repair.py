"""Opens a shard of Qdrant Edge, also where a process was killed while a named vector was added or dropped.

Edge writes such a change in this order: its log; then for each segment the vector's files and `segment.json`
(`segment.json` and then the files, where a vector is dropped); `edge_config.json` last. After a kill in between these
disagree, and Edge, which compares them before it plays its log again, refuses to open the shard for good.

`edge_config.json` is right: no row of a vector is acknowledged before its name is in there, and none is wanted any
more when its name is taken out. So the segments are made to agree with it, and the log then finishes the change.

But a criterion's vector that a segment lacks is removed everywhere: either it was being dropped, or its rows in that
segment are lost. The criterion is then searched by the scan until it is materialized again.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import qdrant_edge as edge

from crl_qdrant.errors import StoreError
from crl_qdrant.stores.json_file import read_json, write_json

__all__ = ["load_shard"]

_CRITERIA: Final = "crl_"  # the names of criteria's vectors begin with it; the others hold raw embeddings
_CONFIG: Final = "edge_config.json"
_ADVICE: Final = "restore the directory from a copy, or make the collection again and add its images"


def load_shard(shard: Path) -> edge.EdgeShard:
    """The shard in a directory, its segments brought to agree with its configuration where they do not.

    Raises:
        BlockingIOError: if another program has it open.
        StoreError: if it cannot be opened, or not without losing embeddings; the message says what to do.
        Exception: Edge's own, where the shard is open elsewhere.
    """
    try:
        with _locked(shard / "wal"):
            pass  # free: Edge looks only after it has changed files, which are another program's where it is not
        return edge.EdgeShard.load(str(shard))
    except Exception as error:
        if "WouldBlock" in str(error) or isinstance(error, BlockingIOError):
            raise
        if not _mended(shard):
            raise StoreError(
                f"{shard.parent} cannot be opened: {error}; where its files are damaged, {_ADVICE}"
            ) from error
    return load_shard(shard)


def _mended(shard: Path) -> bool:
    """Mend what an interrupted change of the vectors left; whether there was anything."""
    with _locked(shard / "wal"):
        try:
            config = read_json(shard / _CONFIG)
            wanted = config["vectors"]
            # a directory is a segment once it has its version
            paths = [path.with_name("segment.json") for path in sorted(shard.glob("segments/*/version.info"))]
            segments = {path: read_json(path) for path in paths}
            lost = {name for name in wanted if name.startswith(_CRITERIA) and _is_lacking(name, segments.values())}
            for name in lost:
                del wanted[name]
            odd = {path: names for path, segment in segments.items() if (names := _at_odds(segment, wanted))}
        except (AttributeError, KeyError, OSError, TypeError, ValueError):
            return False  # unreadable, and Edge has said what is wrong with it
        for path, names in odd.items():
            # raw embeddings come and go too, when a collection moves to another encoder, but never the last ones
            if not any(name not in names for name in wanted if not name.startswith(_CRITERIA)):
                raise StoreError(
                    f"{shard.parent}: its segment {path.parent.name} and its configuration disagree on the vectors "
                    f"{', '.join(names)}, which no interrupted write explains: its files are damaged; {_ADVICE}"
                )
        for path, names in odd.items():
            _make_agree(path, names, wanted)
        if lost:
            write_json(shard / _CONFIG, config)
        return bool(odd or lost)


def _is_lacking(name: str, segments: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a segment lacks a vector."""
    return any(name not in segment["config"]["vector_data"] for segment in segments)


def _at_odds(segment: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The vectors that are not in both, or not of one size."""
    there = segment["config"]["vector_data"]
    names = sorted({*there, *wanted})
    return [name for name in names if there.get(name, {}).get("size") != wanted.get(name, {}).get("size")]


def _make_agree(path: Path, names: list[str], wanted: Mapping[str, Any]) -> None:
    segment = read_json(path)
    there = segment["config"]["vector_data"]
    for name in names:
        there.pop(name, None)
        if name in wanted:
            there[name] = {
                "size": wanted[name]["size"],
                "distance": wanted[name]["distance"],
                "storage_type": "InRamChunkedMmap",
                "index": {"type": "plain", "options": {}},
                "quantization_config": None,
            }
        # half made, or half removed: Edge makes them again, empty
        for kind in ("vector_storage", "vector_index"):
            if (files := path.with_name(f"{kind}-{name}")).exists():
                shutil.rmtree(files)
    write_json(path, segment)


@contextmanager
def _locked(log: Path) -> Iterator[None]:
    """Edge's own lock, so that no shard is mended whose files another process is just changing."""
    if sys.platform == "win32":  # where directories cannot be locked
        yield
        return
    import fcntl

    handle = os.open(log, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
