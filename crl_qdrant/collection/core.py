"""The state that all parts of a collection share: store, criteria, encoder, resident embeddings, and the lock."""

from __future__ import annotations

import re
import threading
import unicodedata
from types import TracebackType
from typing import Final, Self

from crl_qdrant.collection.info import collection_info, CollectionInfo
from crl_qdrant.collection.process import OneProcess
from crl_qdrant.common.arguments import LARGEST_BYTES, whole_number
from crl_qdrant.common.device import check_device
from crl_qdrant.criteria.manifest import Manifest, RawVector
from crl_qdrant.criteria.manifest_cache import read_manifest
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.encoders import Encoder, load_encoder
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import InputError
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.searcher import Searcher
from crl_qdrant.stores import create_store, Location, open_store, Store

__all__ = ["Core"]

DEFAULT_SCAN_MEMORY: Final = 2 << 30
"""2 GiB: two million embeddings of 512 dimensions."""

_NAME: Final = re.compile(r"\w[\w.-]*")  # of a name without its combining marks, as many scripts have
_LONGEST_NAME: Final = 180  # bytes; file systems take 255


class Core(OneProcess):
    """A collection that is made, opened, described and closed."""

    def __init__(
        self, name: str, store: Store, criteria: Criteria, encoder: BoundEncoder, resident: Resident, *, device: str
    ) -> None:
        self.name = name
        self._store = store
        self._device = device
        self._use(criteria, encoder, resident)
        self._write_lock = threading.RLock()  # items may come from a generator that writes too
        self._migration_lock = threading.Lock()
        self._belong_here()

    def _use(self, criteria: Criteria, encoder: BoundEncoder, resident: Resident) -> None:
        self._criteria = criteria
        self._encoder = encoder
        self._resident = resident
        self._searcher = Searcher(self._store, criteria, encoder, resident)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        location: Location,
        encoder: str | Encoder | None = None,
        dimension: int | None = None,
        device: str = "auto",
        scan_memory: int = DEFAULT_SCAN_MEMORY,
    ) -> Self:
        """A new, empty collection.

        Args:
            name: letters of any script, digits, "_", "-" and "."; at most 180 bytes in UTF-8.
            location: a directory (Qdrant Edge; "~" is the home directory), ":memory:" (gone with the process), the
                http(s) URL of a Qdrant server (its API key is read from QDRANT_API_KEY), or a ready `QdrantClient`;
                for `AsyncCRLCollection` also an `AsyncQdrantClient`.
            encoder: "open_clip:<model>/<pretrained tag or checkpoint path>", "transformers:<repository or folder>",
                "demo", an object with `encode_images`, `encode_texts`, `dimension` and `name`; None where you bring
                all embeddings.
            dimension: d of the embeddings, where there is no encoder.
            device: "auto", "cpu", "cuda" or "cuda:N", for the encoder and for exact search.
            scan_memory: bytes of the device's memory that exact search may take for the raw embeddings.

        Raises:
            ExistsError: if there is a collection of that name.
            InputError: if name, location, device or dimension is not allowed.
            EncoderError: if there is no such encoder, or it cannot be loaded.
            StoreError: if the store cannot be reached or written.
        """
        name = _checked_name(name)
        check_device(device)
        scan_memory = whole_number("scan_memory", scan_memory, least=0, most=LARGEST_BYTES)
        loaded = None if encoder is None else load_encoder(encoder, device=device)
        if loaded is None and dimension is None:
            raise InputError("without an encoder, say how long your embeddings are: create(…, dimension=512)")
        if loaded is not None and dimension not in (None, loaded.dimension):
            raise InputError(
                f"encoder {loaded.name!r} gives {loaded.dimension} dimensions, not {dimension}; leave dimension out"
            )
        size = loaded.dimension if loaded is not None else dimension
        size = whole_number("dimension", size, least=2)
        if size > 65_536:
            raise InputError(f"dimension must be at most 65536, got {size}")
        manifest = Manifest(RawVector(loaded.name if loaded else None, size), {})
        bound = BoundEncoder(name, manifest.encoder, size, encoder=loaded, device=device)
        store = create_store(location, name, {manifest.raw.vector: size}, manifest.to_entry())
        resident = Resident(store, manifest.raw, device, scan_memory)
        return cls(name, store, Criteria(name, store, manifest, bound, device), bound, resident, device=device)

    @classmethod
    def open(
        cls,
        name: str,
        *,
        location: Location,
        encoder: str | Encoder | None = None,
        device: str = "auto",
        scan_memory: int = DEFAULT_SCAN_MEMORY,
    ) -> Self:
        """A collection made by `create`; encoder, criteria and state come from it.

        Args:
            name: the collection's name.
            location: as in `create`.
            encoder: needed only where it was an object of yours; otherwise checked against the collection's.
            device, scan_memory: as in `create`.

        Raises:
            NotFoundError: if there is no such collection; the message lists those there are.
            EncoderMismatchError: if another encoder wrote the collection; the message names both.
            LockedError: if another process has the directory open.
            ManifestError: the collection is not one of ours, or was changed by another program.
            StoreError: if the store cannot be reached or read.
        """
        name = _checked_name(name)
        if isinstance(location, str) and location == ":memory:":
            raise InputError(
                "a ':memory:' collection is gone with the object that create() gave; to come back to one, "
                "make client = QdrantClient(':memory:') and pass location=client to both"
            )
        check_device(device)
        scan_memory = whole_number("scan_memory", scan_memory, least=0, most=LARGEST_BYTES)
        store = open_store(location, name)
        try:
            manifest = read_manifest(store, name)
            bound = BoundEncoder(name, manifest.encoder, manifest.dimension, encoder=encoder, device=device)
        except BaseException:
            store.close()
            raise
        resident = Resident(store, manifest.raw, device, scan_memory)
        return cls(name, store, Criteria(name, store, manifest, bound, device), bound, resident, device=device)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._is_forked:
            return f"{type(self).__name__}({self.name!r}, of process {self._process})"
        names = list(self._manifest.definitions)
        return f"{type(self).__name__}({self.name!r}, encoder={self._manifest.encoder!r}, criteria={names})"

    @property
    def _manifest(self) -> Manifest:
        return self._criteria.manifest

    def close(self) -> None:
        """Close the directory or connection. A client that was passed in stays open. Nothing in a forked process."""
        if self._is_forked:
            return
        self._resident.forget()
        self._store.close()

    def info(self) -> CollectionInfo:
        """The collection's size, encoder and criteria, read from the store."""
        criteria = self._criteria
        criteria.refresh()
        return collection_info(self.name, self._store, criteria.manifest)


def _checked_name(name: object) -> str:
    """The name in Unicode's composed form (NFC), by which it is stored however it was typed."""
    composed = unicodedata.normalize("NFC", name) if isinstance(name, str) else ""
    without_marks = "".join(each for each in composed if not unicodedata.category(each).startswith("M"))
    if not _NAME.fullmatch(without_marks):
        raise InputError(
            f"`name` must be letters, digits, '_', '-' or '.', and must not start with '-' or '.', got {name!r}"
        )
    if len(composed.encode(errors="replace")) > _LONGEST_NAME:
        raise InputError(
            f"`name` must have at most {_LONGEST_NAME} bytes in UTF-8, got {len(composed.encode())}: {name!r}"
        )
    return composed
