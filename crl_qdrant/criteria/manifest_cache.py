"""The manifest as this process knows it: several threads read and write it, and other processes change it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from crl_qdrant.criteria.manifest import Lineage, Manifest
from crl_qdrant.errors import ManifestError
from crl_qdrant.stores import Store

__all__ = ["KeptManifest", "read_manifest"]

_READS: Final = 3


def read_manifest(store: Store, collection: str) -> Manifest:
    """The manifest that a store has of a collection.

    Raises:
        ManifestError: as `Manifest.read`.
        StoreError: if it cannot be read.
    """
    for _ in range(_READS - 1):
        try:
            manifest = Manifest.read(store.metadata(), store.vector_sizes(), collection=collection)
        except ManifestError:
            continue  # metadata and vectors are read one after the other, and may have been changed in between
        if manifest.is_whole:
            return manifest
    return Manifest.read(store.metadata(), store.vector_sizes(), collection=collection)


class KeptManifest:
    """One collection's manifest. Any thread may read it again; one at a time may change it.

    Args:
        store: where it is.
        collection: the collection's name, for messages.
        manifest: as it was just written or read.

    Attributes:
        manifest: as it is known here.
        read_at: `time.monotonic()` of the last reading.
    """

    def __init__(self, store: Store, collection: str, manifest: Manifest) -> None:
        self._store = store
        self._collection = collection
        self.manifest = manifest
        self.read_at = time.monotonic()
        self._changes = 0  # made here
        self._handed_over = False
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Read it again, and check it against the vectors that are there.

        Raises:
            ManifestError: if the collection no longer matches it, or another process moved it to another encoder.
            StoreError: if it cannot be read.
        """
        while True:
            changes = self._changes
            read = read_manifest(self._store, self._collection)
            if self._handed_over:
                return
            if read.raw != self.manifest.raw:
                raise ManifestError(
                    f"collection {self._collection!r} has moved from encoder {self.manifest.encoder!r} to "
                    f"{read.encoder!r} since it was opened here; open it again"
                )
            with self._lock:
                if changes == self._changes:  # else a writer in another thread is ahead of what was read
                    self.manifest = read
                    self.read_at = time.monotonic()
                    return

    def hand_over(self, entries: Mapping[str, Any]) -> None:
        """Write the entries that move the collection to another encoder; this object stays as it is from then on.

        Searches that other threads began finish with it.
        """
        self._handed_over = True
        try:
            self._store.update_metadata(entries)
        except BaseException:
            self._handed_over = False
            raise

    def write(self, entries: Mapping[str, Any]) -> None:
        """Write entries of the metadata, and read it again."""
        self._store.update_metadata(entries)
        with self._lock:
            self._changes += 1
        self.refresh()

    def keep(self, lineage: Lineage) -> None:
        """Write a criterion's entry."""
        self._store.update_metadata(lineage.to_entry())
        with self._lock:
            self._changes += 1
            lineages: Mapping[str, Lineage] = {**self.manifest.lineages, lineage.current.criterion.name: lineage}
            self.manifest = replace(self.manifest, lineages=lineages)
