"""The store of a collection: a directory, this process's memory, or a Qdrant server."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

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
        location: a directory (Qdrant Edge), also as "~/…" or file:///…; ":memory:" (qdrant-client's local mode); an
            http(s) URL of a server, whose API key is read from QDRANT_API_KEY. Or a ready `QdrantClient`, or an
            `AsyncQdrantClient` where this is a thread of `in_thread`.

    Raises:
        InputError: if it is no location.
        ExistsError: if the name is taken.
        StoreError: if the store cannot be reached or written.
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
        InputError: if it is no location.
        NotFoundError: if there is no such collection.
        LockedError: if another process has the directory open.
        StoreError: if the store cannot be reached or read.
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
    text = os.fspath(location) if isinstance(location, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text:
        raise InputError(
            f"`location` must be a directory, ':memory:', an http(s) URL or a QdrantClient, got {location!r}"
        )
    if text == ":memory:":
        return QdrantClient(":memory:")
    if re.match(r"https?://[^/]", text, re.IGNORECASE):
        return _server(text)
    return _directory(text)


def _server(url: str) -> QdrantClient:
    try:
        # the client would check the server's version in a thread that outlives an unreachable server's error
        key = os.environ.get("QDRANT_API_KEY")
        with warnings.catch_warnings():
            if urlsplit(url).hostname in _THIS_MACHINE:  # a key that stays here needs no encryption
                warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            return QdrantClient(url=url, api_key=key, timeout=_TIMEOUT_S, check_compatibility=False)
    except ValueError as error:
        raise StoreError(f"{url} is not the address of a Qdrant server: {error}") from error


def _directory(text: str) -> Path:
    """The directory that a location names: a path, with "~" for the home directory, or a file:// URL."""
    if "\0" in text:
        raise InputError(f"`location` must not contain the character NUL, got {text!r}")
    if text.startswith(":"):
        raise InputError(f"`location` must be ':memory:' for a collection in memory, got {text!r}; or write ./{text}")
    if re.match(r"[\w.-]+:\d+(/|$)", text):
        raise InputError(f"{text} looks like a server's address; write it as http://{text}")
    if text.lower().startswith("file:"):
        return _file_url(text)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]", text)  # one letter is a drive of Windows
    if scheme is None:
        try:
            return Path(text).expanduser()
        except RuntimeError as error:
            raise InputError(f"the home directory in `location` {text!r} is not known: {error}") from error
    kind = scheme[1].lower()
    advice = {
        "http": "a server is written http://host:6333",
        "https": "a server is written https://host:6333",
        "grpc": "a server is written http://host:6333; for gRPC pass QdrantClient(url=…, prefer_grpc=True)",
    }
    raise InputError(
        f"`location` {text!r} is no directory and no server: "
        + advice.get(kind, f"{kind}: is not supported; use a directory of this machine or a server's http(s) URL")
    )


def _file_url(text: str) -> Path:
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise InputError(f"`location` {text!r} must name a directory of this machine as file:///absolute/path")
    path = url2pathname(parts.path)
    if "\0" in path:
        raise InputError(f"`location` must not contain the character NUL, got {text!r}")
    return Path(path)


@contextmanager
def _closed_on_error(client: QdrantClient | AwaitedClient, *, owned: bool) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if owned:
            client.close()
        raise
