"""Readers of product catalogues: plug-ins, found by the entry-point group `crl_qdrant.catalogs`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol

from crl_qdrant.errors import CatalogError, MissingPackageError
from crl_qdrant.ingestion.items import Item

__all__ = ["CatalogOptions", "CatalogReader", "find_reader"]

GROUP: Final = "crl_qdrant.catalogs"


@dataclass(frozen=True, slots=True)
class CatalogOptions:
    """A user's options for reading a catalogue.

    Attributes:
        images: the folder of the images.
        id_column: the column of the items' keys.
        image_column: the column of the images' file names; None: the key with an image file's ending.
        outside: allow images outside the folder, by "..", an absolute path or a symbolic link.
        encoding: of a table's text, "cp1252" for one; None: UTF-8, or UTF-16 with its mark.
    """

    images: Path | None = None
    id_column: str | None = None
    image_column: str | None = None
    outside: bool = False
    encoding: str | None = None


class CatalogReader(Protocol):
    """A plug-in: an entry point names an object with these two methods."""

    def accepts(self, source: Path) -> bool:
        """Whether the source, which exists, is of this reader's kind."""

    def read(self, source: Path, options: CatalogOptions) -> Iterable[Item]:
        """Return the catalogue's items; with a length (`len`), progress can be shown.

        Raises:
            CatalogError: if the source cannot be read, or lacks a column that was named.
        """


def find_reader(source: Path) -> CatalogReader:
    """Find the first installed reader that accepts the source.

    Raises:
        CatalogError: if the source does not exist, or no reader accepts it; the message lists the readers.
        MissingPackageError: if no reader is installed.
    """
    if not source.exists():
        raise CatalogError(f"there is no catalogue {source}")
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    if not points:
        raise MissingPackageError(
            'no catalogue reader is installed: pip install "crl-qdrant[catalogs]" reads CSV, TSV and folders; '
            "in a checkout, pip install connectors/catalogs"
        )
    for point in points:
        reader: CatalogReader = point.load()
        if reader.accepts(source):
            return reader
    raise CatalogError(f"no reader takes {source}; there are readers for: {', '.join(point.name for point in points)}")
