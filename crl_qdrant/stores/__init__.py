"""Where a collection lives: a directory, this process's memory, or a Qdrant server."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from qdrant_client import AsyncQdrantClient, QdrantClient

from crl_qdrant.errors import InputError, StoreError
from crl_qdrant.stores.awaited import AwaitedClient
from crl_qdrant.stores.store import Record, Scored, Store, VectorQuery, without_value, WithPayload

_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
_TIMEOUT_S: Final = 60  # writes wait until they are durable; the client's own 5 s is short for a large batch

__all__ = [
    "Location",
    "Record",
    "Scored",
    "Store",
    "VectorQuery",
    "WithPayload",
    "create_store",
    "open_store",
    "without_value",
]

Location: TypeAlias = "str | os.PathLike[str] | QdrantClient | AsyncQdrantClient"


def create_store(location: Location, name: str, vectors: Mapping[str, int], metadata: Mapping[str, Any]) -> Store:
    """A new collection `name` with these named vectors (name -> dimension).

    Args:
        location: a directory (Qdrant Edge), ":memory:" (qdrant-client's local mode), an http(s) URL of a server,
            whose API key is read from QDRANT_API_KEY, a ready `QdrantClient`, or an `AsyncQdrantClient` where this
            is a thread of `in_thread`.

    Raises:
        InputError: not a location.
        ExistsError: the name is taken.
        StoreError: the store cannot be reached or written.
    """
    target = _resolved(location)
    if isinstance(target, Path):
        from crl_qdrant.stores.edge.store import EdgeStore

        return EdgeStore.create(target / name, vectors, metadata)
    from crl_qdrant.stores.client import ClientStore

    owned = isinstance(location, (str, os.PathLike))
    with _closed_on_error(target, owned=owned):
        return ClientStore.create(target, name, vectors, metadata, owned=owned)


def open_store(location: Location, name: str) -> Store:
    """The collection `name`; see `create_store` for locations.

    Raises:
        InputError: not a location.
        NotFoundError: no such collection.
        LockedError: another process holds the directory.
        StoreError: the store cannot be reached or read.
    """
    target = _resolved(location)
    if isinstance(target, Path):
        from crl_qdrant.stores.edge.store import EdgeStore

        return EdgeStore.open(target / name)
    from crl_qdrant.stores.client import ClientStore

    owned = isinstance(location, (str, os.PathLike))
    with _closed_on_error(target, owned=owned):
        return ClientStore.open(target, name, owned=owned)


def _resolved(location: Location) -> QdrantClient | AwaitedClient | Path:
    if isinstance(location, QdrantClient):
        return location
    if isinstance(location, AsyncQdrantClient):
        return AwaitedClient(location)
    if not isinstance(location, (str, os.PathLike)) or not str(location):
        raise InputError(f"location is a directory, ':memory:', an http(s) URL or a QdrantClient, got {location!r}")
    if location == ":memory:":
        return QdrantClient(":memory:")
    if str(location).lower().startswith(("http://", "https://")):
        try:
            # the client would check the server's version in a thread that outlives an unreachable server's error
            key = os.environ.get("QDRANT_API_KEY")
            with warnings.catch_warnings():
                if urlsplit(str(location)).hostname in _THIS_MACHINE:  # a key that stays here needs no encryption
                    warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
                return QdrantClient(url=str(location), api_key=key, timeout=_TIMEOUT_S, check_compatibility=False)
        except ValueError as error:
            raise StoreError(f"{location} is not the address of a Qdrant server: {error}") from error
    if re.fullmatch(r"[\w.-]+:\d+", str(location)):
        raise InputError(f"{location} looks like a server's address; write it as http://{location}")
    return Path(location)


@contextmanager
def _closed_on_error(client: QdrantClient | AwaitedClient, *, owned: bool) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if owned:
            client.close()
        raise
