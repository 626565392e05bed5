"""A collection behind qdrant-client: a Qdrant server, Qdrant Cloud, or the client's own local mode."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Final
from weakref import WeakKeyDictionary

import grpc
import numpy as np
from qdrant_client import models, QdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from crl_qdrant.common.arguments import checked_filter
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.errors import CRLError, ExistsError, FilterError, NotFoundError, StoreError
from crl_qdrant.stores.awaited import AwaitedClient
from crl_qdrant.stores.store import Record, Scored, selector, VectorQuery, WithPayload

__all__ = ["ClientStore"]

_REFUSED = "the Qdrant server refused the key; set QDRANT_API_KEY or pass a QdrantClient with its api_key"
_CRITERIA: Final = "crl_"  # the names of criteria's vectors begin with it
_LOCKS: WeakKeyDictionary[QdrantClient, Any] = WeakKeyDictionary()


class ClientStore:
    """One collection of a client. Use `create` or `open`; an `owned` client is closed with the store."""

    def __init__(self, client: QdrantClient | AwaitedClient, collection_name: str, *, owned: bool) -> None:
        self._client = client
        self._name = collection_name
        self._owned = owned
        options = client.init_options
        self._local = options.get("location") == ":memory:" or options.get("path") is not None
        self._lock: Any = nullcontext()
        if self._local and isinstance(client, QdrantClient):
            # local mode is plain Python data that concurrent writes corrupt; a server needs no lock of ours, and an
            # event loop makes no two calls at once. One lock a client, since its collections share its data
            self._lock = _LOCKS.setdefault(client, threading.RLock())

    @classmethod
    def create(
        cls,
        client: QdrantClient | AwaitedClient,
        collection_name: str,
        vectors: Mapping[str, int],
        metadata: Mapping[str, Any],
        *,
        owned: bool = False,
    ) -> ClientStore:
        """A new collection with these named vectors (name -> dimension), compared by cosine.

        Raises:
            ExistsError: if there is a collection of that name.
            StoreError: if the server cannot be reached or refuses.
        """
        store = cls(client, collection_name, owned=owned)
        with store._call("creating the collection"):
            if client.collection_exists(collection_name):
                raise ExistsError(f"there is a collection {collection_name!r} already; open it, or choose another name")
            client.create_collection(
                collection_name,
                vectors_config={
                    name: models.VectorParams(size=size, distance=models.Distance.COSINE)
                    for name, size in vectors.items()
                },
                metadata=dict(metadata),
            )
        return store

    @classmethod
    def open(cls, client: QdrantClient | AwaitedClient, collection_name: str, *, owned: bool = False) -> ClientStore:
        """A collection that is there.

        Raises:
            NotFoundError: if there is none of that name; the message lists those there are.
            StoreError: if the server cannot be reached.
        """
        store = cls(client, collection_name, owned=owned)
        with store._call("opening the collection"):
            if not client.collection_exists(collection_name):
                others = sorted(each.name for each in client.get_collections().collections)
                raise NotFoundError(
                    f"there is no collection {collection_name!r}; "
                    + (f"there are: {', '.join(others)}" if others else "there is none at all")
                )
        return store

    @property
    def shared(self) -> bool:
        return True  # also in local mode: several collections of this process may use one client

    def metadata(self) -> dict[str, Any]:
        # a key set to null is a removed one, whether or not the server keeps it
        return {key: value for key, value in (self._config().metadata or {}).items() if value is not None}

    def update_metadata(self, entries: Mapping[str, Any]) -> None:
        with self._call("writing the collection's metadata"):
            self._client.update_collection(self._name, metadata=dict(entries))

    def vector_sizes(self) -> dict[str, int]:
        vectors = self._config().params.vectors
        return {name: each.size for name, each in vectors.items()} if isinstance(vectors, dict) else {}

    def create_vector(self, name: str, size: int) -> None:
        if self.vector_sizes().get(name) == size:
            return
        config = models.DenseVectorNameConfig(
            dense=models.DenseVectorConfig(size=size, distance=models.Distance.COSINE)
        )
        with self._call(f"adding the named vector {name} (this needs Qdrant 1.18 or newer)"):
            self._client.create_vector_name(self._name, name, config)

    def drop_vector(self, name: str) -> None:
        if name in self.vector_sizes():
            with self._call(f"dropping the named vector {name}"):
                self._client.delete_vector_name(self._name, name)

    def upsert(self, ids: Sequence[PointId], vectors: Mapping[str, Float32Array], payloads: Sequence[Payload]) -> None:
        # A server that starts again repeats its log, and drops a whole operation that names a vector which is gone by
        # then: an image must not be lost with a criterion that is dropped. Local mode keeps no log.
        later = {} if self._local else {name: rows for name, rows in vectors.items() if name.startswith(_CRITERIA)}
        batch = models.Batch(
            ids=list(ids),
            vectors={name: rows.tolist() for name, rows in vectors.items() if name not in later},
            payloads=list(payloads),
        )
        with self._call("writing points"):
            self._client.upsert(self._name, batch, wait=True)
        if later:
            self.update_vectors(ids, later)

    def update_vectors(self, ids: Sequence[PointId], vectors: Mapping[str, Float32Array]) -> None:
        points = [
            models.PointVectors(id=point_id, vector={name: rows[index].tolist() for name, rows in vectors.items()})
            for index, point_id in enumerate(ids)
        ]
        with self._call(f"writing the named vectors {', '.join(vectors)}"):
            self._client.update_vectors(self._name, points, wait=True)

    def set_payload(self, ids: Sequence[PointId], payloads: Sequence[Payload], *, key: str | None) -> None:
        operations: list[Any] = [
            models.SetPayloadOperation(set_payload=models.SetPayload(points=[point_id], payload=payload, key=key))
            for point_id, payload in zip(ids, payloads, strict=True)
        ]
        if not operations:
            return
        with self._call(f"writing the payload's {key or 'fields'}"):
            self._client.batch_update_points(self._name, operations, wait=True)

    def delete(self, ids: Sequence[PointId]) -> None:
        if not ids:
            return
        with self._call("deleting points"):
            self._client.delete(self._name, models.PointIdsList(points=list(ids)), wait=True)

    def count(self, query_filter: models.Filter | None = None) -> int:
        with self._call("counting points", filtered=query_filter is not None):
            return self._client.count(self._name, count_filter=checked_filter(query_filter), exact=True).count

    def query(self, query: VectorQuery) -> list[Scored]:
        (found,) = self.query_batch([query])
        return found

    def query_batch(self, queries: Sequence[VectorQuery]) -> list[list[Scored]]:
        requests = [
            models.QueryRequest(
                query=query.vector.tolist(),
                using=query.using,
                limit=query.limit,
                filter=query.query_filter,
                with_payload=_wanted(query.with_payload),
                params=self._params(query),
            )
            for query in queries
        ]
        with self._call("searching", filtered=any(query.query_filter is not None for query in queries)):
            found = self._client.query_batch_points(self._name, requests)
        return [[Scored(_plain(p.id), p.score, p.payload) for p in each.points] for each in found]

    def rescore(
        self, candidates: Sequence[VectorQuery], by: Sequence[tuple[Float32Array, str]]
    ) -> list[dict[PointId, float]]:
        prefetch = [
            models.Prefetch(
                query=each.vector.tolist(),
                using=each.using,
                limit=each.limit,
                filter=each.query_filter,
                params=self._params(each),
            )
            for each in candidates
        ]
        most = sum(each.limit for each in candidates)
        requests = [
            models.QueryRequest(query=vector.tolist(), using=using, prefetch=prefetch, limit=most, with_payload=False)
            for vector, using in by
        ]
        with self._call("searching", filtered=any(each.query_filter is not None for each in candidates)):
            found = self._client.query_batch_points(self._name, requests)
        return [{_plain(point.id): point.score for point in each.points} for each in found]

    def retrieve(
        self, ids: Sequence[PointId], *, vector: str | None = None, with_payload: WithPayload = True
    ) -> list[Record]:
        with self._call("reading points"):
            found = self._client.retrieve(
                self._name, list(ids), with_payload=selector(with_payload), with_vectors=[vector] if vector else False
            )
        return [Record(_plain(p.id), p.payload, _vector(p, vector) if vector else None) for p in found]

    def scroll(
        self, *, vector: str, query_filter: models.Filter | None = None, batch_size: int = 1024
    ) -> Iterator[tuple[list[PointId], Float32Array]]:
        present = models.HasVectorCondition(has_vector=vector)
        wanted = checked_filter(query_filter)
        conditions = models.Filter(must=[present] if wanted is None else [present, wanted])
        for points in self._pages(conditions, batch_size, with_vectors=[vector]):
            yield [_plain(p.id) for p in points], np.array([_vector(p, vector) for p in points], dtype=np.float32)

    def scroll_ids(self, query_filter: models.Filter | None = None) -> Iterator[list[PointId]]:
        for points in self._pages(checked_filter(query_filter), 10_000, with_vectors=False):
            yield [_plain(point.id) for point in points]

    def optimize(self) -> None:
        """A server builds its indexes by itself, local mode has none."""

    def close(self) -> None:
        if self._owned:
            self._client.close()

    def _params(self, query: VectorQuery) -> models.SearchParams | None:
        return None if self._local else query.params  # local mode compares everything, and warns where it is told how

    def _config(self) -> models.CollectionConfig:
        with self._call("reading the collection's configuration"):
            return self._client.get_collection(self._name).config

    def _pages(
        self, conditions: models.Filter | None, size: int, *, with_vectors: bool | list[str]
    ) -> Iterator[list[models.Record]]:
        offset: Any = None
        while True:
            with self._call("reading points", filtered=conditions is not None):
                points, offset = self._client.scroll(
                    self._name,
                    scroll_filter=conditions,
                    limit=size,
                    offset=offset,
                    with_payload=False,
                    with_vectors=with_vectors,
                )
            if points:
                yield points
            if offset is None:
                return

    @contextmanager
    def _call(self, action: str, *, filtered: bool = False) -> Iterator[None]:
        """Lock where that is needed, and raise the client's errors as ours, with the action that failed.

        Args:
            action: the words an error begins with.
            filtered: whether the call has a filter, which is then the likely cause of a built-in error.
        """
        with self._lock:
            try:
                yield
            except ResponseHandlingException as error:
                raise StoreError(f"{action}: the Qdrant server cannot be reached ({error}); is it running?") from error
            except UnexpectedResponse as error:
                if error.status_code in (401, 403):
                    raise StoreError(f"{action}: {_REFUSED}") from error
                raise StoreError(f"{action}: {error}") from error
            except grpc.RpcError as error:
                # each call's error is a call too, with its status; the class alone does not say so
                status, details = getattr(error, "code", str)(), getattr(error, "details", str)()
                if status is grpc.StatusCode.UNAVAILABLE:
                    raise StoreError(f"{action}: the Qdrant server cannot be reached ({details})") from error
                if status in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                    raise StoreError(f"{action}: {_REFUSED}") from error
                raise StoreError(f"{action}: {details or error}") from error
            except QdrantException as error:  # such as too many requests at once
                raise StoreError(f"{action}: {error}") from error
            except CRLError:
                raise
            except ApiException as error:
                raise StoreError(f"{action}: {error}") from error
            except Exception as error:  # local mode raises what its Python code happens to meet
                reason = f"{type(error).__name__}: {error}"
                if filtered and self._local:
                    raise FilterError(f"{action}: local mode has no such filter ({reason})") from error
                raise StoreError(f"{action}: {reason}") from error


def _wanted(with_payload: WithPayload) -> WithPayload:
    return with_payload if isinstance(with_payload, bool) else selector(with_payload)


def _plain(point_id: Any) -> PointId:
    return point_id if isinstance(point_id, int) else str(point_id)


def _vector(point: models.Record, name: str) -> list[float] | None:
    value = point.vector.get(name) if isinstance(point.vector, dict) else None
    return value if isinstance(value, list) else None  # type: ignore[return-value]
