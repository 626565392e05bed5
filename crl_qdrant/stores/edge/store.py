"""A collection in Qdrant Edge: the server's engine inside this process, in one directory of its own."""

from __future__ import annotations

import shutil
import struct
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, Final

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.errors import ExistsError, NotFoundError, StoreError
from crl_qdrant.stores.edge.disk import bytes_of, bytes_on_disk, require_space
from crl_qdrant.stores.edge.draft import make_draft, remove_drafts_of
from crl_qdrant.stores.edge.errors import raise_translated, translated
from crl_qdrant.stores.edge.filter import edge_filter
from crl_qdrant.stores.edge.lock import DirectoryLock
from crl_qdrant.stores.edge.optimize import optimize_shard
from crl_qdrant.stores.edge.repair import load_shard
from crl_qdrant.stores.edge.request import edge_params, nearest, prefetch
from crl_qdrant.stores.json_file import read_json, remove_drafts, write_json
from crl_qdrant.stores.store import Record, Scored, selector, VectorQuery, WithPayload

__all__ = ["EdgeStore"]

_SHARD: Final = "shard"
_METADATA: Final = "metadata.json"
_LOG_BYTES: Final = 64 << 20  # 64 MiB


class EdgeStore:
    """One directory: the shard and, beside it, the collection's metadata as a JSON file (Edge keeps none).

    Use `create` or `open`; one process at a time can have a directory open.
    """

    def __init__(self, directory: Path, hold: DirectoryLock, shard: edge.EdgeShard, metadata: dict[str, Any]) -> None:
        self._directory = directory
        self._hold = hold
        self._shard = shard
        self._lock = threading.Lock()  # taken while another process has the shard; Edge's calls do not overlap anyway
        self._metadata_lock = threading.Lock()
        self._metadata = metadata
        self._unsaved = 0  # bytes written since the log was last cut

    @classmethod
    def create(cls, directory: Path, vectors: Mapping[str, int], metadata: Mapping[str, Any]) -> EdgeStore:
        """A new collection with these named vectors (name -> dimension), compared by cosine.

        Raises:
            ExistsError: if the directory is there already.
            StoreError: if it cannot be written.
        """
        config = edge.EdgeConfig(
            vectors={
                name: edge.EdgeVectorParams(size=size, distance=edge.Distance.Cosine) for name, size in vectors.items()
            }
        )
        with translated(f"creating {directory}"):
            if directory.exists():
                raise ExistsError(f"{directory} exists already; open it, or choose another name or location")
            directory.parent.mkdir(parents=True, exist_ok=True)
            require_space(directory.parent)
            remove_drafts_of(directory)
            # made complete under another name, then renamed: a killed process leaves no half collection behind
            draft, hold = make_draft(directory)
            try:
                edge.EdgeShard.create(str(draft / _SHARD), config).close()
                write_json(draft / _METADATA, metadata)
                if sys.platform == "win32":  # where a directory with open files cannot be renamed
                    hold.release()
                try:
                    draft.rename(directory)
                except OSError as error:
                    if directory.exists():
                        raise ExistsError(f"{directory} was just created by somebody else; open it") from error
                    raise
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
            finally:
                hold.release()
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> EdgeStore:
        """The collection in a directory.

        Raises:
            NotFoundError: if there is none; the message lists its neighbours.
            LockedError: if another process, or another object of this one, has it open.
            StoreError: if it cannot be read.
        """
        with translated(f"opening {directory}"):
            remove_drafts_of(directory)
            there = (directory / _METADATA).is_file()
            names = (path.parent.name for path in directory.parent.glob(f"*/{_METADATA}"))
            others = sorted(name for name in names if not name.startswith("."))
        if not there and not directory.parent.is_dir():
            raise NotFoundError(f"there is no folder {directory.parent}, so no collection {directory.name!r} in it")
        if not there:
            raise NotFoundError(
                f"there is no collection {directory.name!r} in {directory.parent}; "
                + (f"there are: {', '.join(others)}" if others else "there is none at all")
            )
        with translated(f"opening {directory}"):
            hold = DirectoryLock(directory)
            try:
                remove_drafts(directory / _METADATA)
                metadata = read_json(directory / _METADATA)
                if not isinstance(metadata, dict):
                    raise StoreError(
                        f"{directory / _METADATA} is damaged: it holds no JSON object; restore it from a copy"
                    )
                absolute = directory.absolute()  # the process may go elsewhere
                return cls(absolute, hold, load_shard(absolute / _SHARD), metadata)
            except BaseException:
                hold.release()
                raise

    @property
    def shared(self) -> bool:
        return False

    def metadata(self) -> dict[str, Any]:
        return dict(self._metadata)

    def update_metadata(self, entries: Mapping[str, Any]) -> None:
        with self._metadata_lock:
            merged = {key: value for key, value in (self._metadata | dict(entries)).items() if value is not None}
            self._checkpoint()  # metadata that call a named vector complete must not be ahead of it
            with translated("writing the collection's metadata"):
                write_json(self._directory / _METADATA, merged)
            self._metadata = merged

    def vector_sizes(self) -> dict[str, int]:
        # Edge has no call for this; it keeps its own record up to date with every change
        with self._lock, translated("reading the collection's configuration"):
            self._hold.require()
            config = read_json(self._directory / _SHARD / "edge_config.json")
            return {name: int(parameters["size"]) for name, parameters in config["vectors"].items()}

    def create_vector(self, name: str, size: int) -> None:
        self._change_vectors(
            f"adding the named vector {name}",
            edge.UpdateOperation.create_dense_vector(name, size, edge.Distance.Cosine),
        )

    def drop_vector(self, name: str) -> None:
        if name in self.vector_sizes():
            self._change_vectors(f"dropping the named vector {name}", edge.UpdateOperation.delete_vector_name(name))

    def upsert(self, ids: Sequence[PointId], vectors: Mapping[str, Float32Array], payloads: Sequence[Payload]) -> None:
        # a row at a time: its numbers are gone before they leave the processor's cache, which is half of the time
        points = [
            edge.Point(point_id, {name: rows[index].tolist() for name, rows in vectors.items()}, payloads[index])
            for index, point_id in enumerate(ids)
        ]
        size = bytes_of(vectors, payloads)
        self._update("writing points", edge.UpdateOperation.upsert_points(points), size)

    def update_vectors(self, ids: Sequence[PointId], vectors: Mapping[str, Float32Array]) -> None:
        points = [
            edge.PointVectors(point_id, {name: rows[index].tolist() for name, rows in vectors.items()})
            for index, point_id in enumerate(ids)
        ]
        action = f"writing the named vectors {', '.join(vectors)}"
        self._update(action, edge.UpdateOperation.update_vectors(points), bytes_of(vectors))

    def set_payload(self, ids: Sequence[PointId], payloads: Sequence[Payload], *, key: str | None) -> None:
        # an operation has one payload for all its points, and Edge takes one operation at a time
        with self._lock, translated(f"writing the payload's {key or 'fields'}"):
            size = bytes_of({}, payloads)
            self._require(size)
            for point_id, payload in zip(ids, payloads, strict=True):
                self._shard.update(edge.UpdateOperation.set_payload([point_id], payload, key=key))
            self._written(size)

    def delete(self, ids: Sequence[PointId]) -> None:
        self._update("deleting points", edge.UpdateOperation.delete_points(list(ids)))

    def count(self, query_filter: models.Filter | None = None) -> int:
        with self._lock, translated("counting points"):
            return self._shard.count(edge.CountRequest(filter=edge_filter(query_filter)))

    def query(self, query: VectorQuery) -> list[Scored]:
        request = _request(query)
        with self._lock:
            try:  # a search's shortest way: no context manager of another module
                found = self._shard.query(request)
            except BaseException as error:
                raise_translated("searching", error)
        return _scored(found)

    def query_batch(self, queries: Sequence[VectorQuery]) -> list[list[Scored]]:
        with self._lock, translated("searching"):
            found = self._shard.query_batch(edge.QueryBatchRequest([_request(query) for query in queries]))
        return [_scored(each) for each in found]

    def rescore(
        self, candidates: Sequence[VectorQuery], by: Sequence[tuple[Float32Array, str]]
    ) -> list[dict[PointId, float]]:
        most = sum(each.limit for each in candidates)
        with self._lock, translated("searching"):
            prefetches = [prefetch(each) for each in candidates]
            requests = [
                edge.QueryRequest(limit=most, query=nearest(vector, using), prefetches=prefetches, with_payload=False)
                for vector, using in by
            ]
            found = self._shard.query_batch(edge.QueryBatchRequest(requests))
        return [{_plain(point.id): point.score for point in points} for points in found]

    def retrieve(
        self, ids: Sequence[PointId], *, vector: str | None = None, with_payload: WithPayload = True
    ) -> list[Record]:
        with self._lock, translated("reading points"):
            found = self._shard.retrieve(list(ids), selector(with_payload), [vector] if vector else False)
        return [Record(_plain(p.id), p.payload, _vector(p, vector) if vector else None) for p in found]

    def scroll(
        self, *, vector: str, query_filter: models.Filter | None = None, batch_size: int = 1024
    ) -> Iterator[tuple[list[PointId], Float32Array]]:
        present = edge.HasVectorCondition(vector)
        wanted = edge_filter(query_filter)
        conditions = edge.Filter(must=[present] if wanted is None else [present, wanted])
        for points in self._pages(conditions, batch_size, with_vector=[vector]):
            yield [_plain(p.id) for p in points], _rows(points, vector)

    def scroll_ids(self, query_filter: models.Filter | None = None) -> Iterator[list[PointId]]:
        for points in self._pages(edge_filter(query_filter), 10_000, with_vector=False):
            yield [_plain(point.id) for point in points]

    def optimize(self) -> None:
        path = self._directory / _SHARD
        with self._lock, translated("building the index"):
            self._require(bytes_on_disk(path / "segments"))
            self._shard.flush()  # which a closed one refuses
            self._shard.close()
            try:
                optimize_shard(path, self._hold)
            finally:
                self._shard = load_shard(path)

    def close(self) -> None:
        with self._lock, translated("closing"):
            self._shard.close()
            self._hold.release()

    def _update(self, action: str, operation: edge.UpdateOperation, size: int = 0) -> None:
        with self._lock, translated(action):
            self._require(size)
            self._shard.update(operation)
            self._written(size)

    def _require(self, size: int) -> None:
        self._hold.require()
        require_space(self._directory, size)

    def _written(self, size: int) -> None:
        """Bound the log: Edge removes from it only at a flush, and keeps one or two files of 32 MiB even then."""
        self._unsaved += size
        if self._unsaved > _LOG_BYTES:
            self._shard.flush()
            self._unsaved = 0

    def _change_vectors(self, action: str, operation: edge.UpdateOperation) -> None:
        # points that were written before, with other vectors, would not fit these ones: they must not be replayed
        self._checkpoint()
        self._update(action, operation)

    def _checkpoint(self) -> None:
        """Save everything, so that nothing written until now is written again when the shard is opened after a kill.

        Edge then replays its log on what it had saved, and leaves out what does not fit that any more: points with a
        vector that is gone, a batch of vectors with a point that is gone. An acknowledged write must not be among them.
        """
        # a flush keeps the last entry of the log: let it be an empty one
        self._update("writing to disk", edge.UpdateOperation.delete_points([]))
        with self._lock, translated("writing to disk"):
            self._shard.flush()
            self._unsaved = 0

    def _pages(
        self, conditions: edge.Filter | None, size: int, *, with_vector: bool | list[str]
    ) -> Iterator[list[edge.Record]]:
        offset = None
        while True:
            request = edge.ScrollRequest(
                offset=offset, limit=size, filter=conditions, with_payload=False, with_vector=with_vector
            )
            with self._lock, translated("reading points"):
                points, offset = self._shard.scroll(request)
            if points:
                yield points
            if offset is None:
                return


def _request(query: VectorQuery) -> edge.QueryRequest:
    keys = query.with_payload
    return edge.QueryRequest(
        limit=query.limit,
        query=edge.Query.Nearest(query.vector.tolist(), using=query.using),
        filter=None if query.query_filter is None else edge_filter(query.query_filter),
        with_payload=keys if isinstance(keys, bool) else selector(keys),
        params=None if query.params is None else edge_params(query.params),
    )


def _scored(points: Sequence[edge.ScoredPoint]) -> list[Scored]:
    return [Scored(_plain(point.id), point.score, point.payload) for point in points]


def _plain(point_id: int | str | uuid.UUID) -> PointId:
    return str(point_id) if isinstance(point_id, uuid.UUID) else point_id


def _rows(points: Sequence[edge.Record], name: str) -> Float32Array:
    """The vectors [n, size] of points that have them."""
    lists = (cast("list[float]", _vector(point, name)) for point in points)
    # packed one by one, which takes half as long as an array of all the lists: see `upsert`
    packed = bytearray().join(struct.pack(f"{len(each)}f", *each) for each in lists)
    return np.frombuffer(packed, dtype=np.float32).reshape(len(points), -1)


def _vector(point: edge.Record, name: str) -> list[float] | None:
    # all our vectors are named and dense; the stubs allow every kind
    return cast("dict[str, list[float]]", point.vector or {}).get(name)
