"""A CSV or TSV file with a header: one item a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from crl_qdrant import CatalogError, CatalogOptions, CatalogReader, Item
from crl_qdrant_catalogs.keys import id_of_key, IMAGE_ENDINGS

__all__ = ["TABLE", "TableReader"]

_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}


class TableReader:
    """Reads `.csv` and `.tsv` files."""

    def accepts(self, source: Path) -> bool:
        """Whether it is a file with one of the two endings."""
        return source.is_file() and source.suffix.lower() in _SEPARATORS

    def read(self, source: Path, options: CatalogOptions) -> Rows:
        """The rows as items.

        Raises:
            CatalogError: not a table, or without a column or folder that was named.
        """
        if options.id_column is None:
            raise CatalogError(f"say which column of {source} is the items' key: --id-column NAME")
        if options.images is not None and not options.images.is_dir():
            raise CatalogError(f"there is no folder of images {options.images}")
        separator = _SEPARATORS[source.suffix.lower()]
        try:
            columns = pl.read_csv(source, separator=separator, n_rows=0).columns
            _check_columns(source, columns, options)
            # keys stay texts: as numbers "0042" would become 42
            texts = {name: pl.String for name in (options.id_column, options.image_column) if name is not None}
            table = pl.read_csv(source, separator=separator, infer_schema_length=None, schema_overrides=texts)
        except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
            raise CatalogError(f"{source} cannot be read as a table: {error}") from error
        return Rows(table, options)


TABLE: CatalogReader = TableReader()


class Rows:
    """The items of a table, made as they are asked for; `len` counts them."""

    def __init__(self, table: pl.DataFrame, options: CatalogOptions) -> None:
        self._table = table
        self._options = options

    def __len__(self) -> int:
        return self._table.height

    def __iter__(self) -> Iterator[Item]:
        for row in self._table.iter_rows(named=True):
            key = row[self._options.id_column or ""]
            path = self._picture(key, row)
            payload = {name: value for name, value in row.items() if value is not None}
            if path is not None:
                payload["image_path"] = str(path)
            # a row without a key has no id, which is reported as such
            yield Item(id=None if key is None else id_of_key(key.strip()), image=path, payload=payload)

    def _picture(self, key: str | None, row: dict[str, Any]) -> Path | None:
        folder = self._options.images or Path()
        if self._options.image_column is not None:
            name = row[self._options.image_column]
            return None if name is None else folder / name
        if self._options.images is None or key is None:
            return None
        candidates = [folder / f"{key.strip()}{ending}" for ending in IMAGE_ENDINGS]
        return next((path for path in candidates if path.is_file()), candidates[0])


def _check_columns(source: Path, columns: list[str], options: CatalogOptions) -> None:
    for name in (options.id_column, options.image_column):
        if name is not None and name not in columns:
            raise CatalogError(f"{source} has no column {name!r}; it has: {', '.join(columns)}")
