"""A CSV or TSV file with a header: one item a row."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from crl_qdrant import CatalogError, CatalogOptions, CatalogReader, CRLError, id_of_key, Item
from crl_qdrant_catalogs.pictures import as_text, image_below, IMAGE_ENDINGS, is_file

__all__ = ["TABLE", "TableReader"]

_INTEGER: Final = r"^-?(0|[1-9]\d*)$"
_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_LONG_INTEGER: Final = r"^-?\d{16,}$"
_NUMBER: Final = r"^(-?(0|[1-9]\d*)(\.\d+([eE][+-]?\d+)?)?|NaN|nan)$"
_ENDINGS: Final = (".csv", ".tsv")


class TableReader:
    """Reads `.csv` and `.tsv` files."""

    def accepts(self, source: Path) -> bool:
        """Whether it is a file with one of the two endings."""
        return source.is_file() and source.suffix.lower() in _ENDINGS

    def read(self, source: Path, options: CatalogOptions) -> Rows:
        """Return the rows as items.

        Raises:
            CatalogError: if it is not a table, or lacks a column or folder that was named.
        """
        if options.id_column is None:
            raise CatalogError(f"say which column of {source} is the items' key: --id-column NAME")
        if options.images is not None and not options.images.is_dir():
            raise CatalogError(f"there is no folder of images {options.images}")
        text = _text(source, options.encoding)
        try:
            # as texts first: a number read as such loses its leading zeros, and with them what it is
            table = pl.read_csv(text.encode(), separator=_separator(source, text), infer_schema=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise CatalogError(f"{source} cannot be read as a table: {_reason(error)}") from error
        for name in (options.id_column, options.image_column):
            if name is not None and name not in table.columns:
                raise CatalogError(f"{source} has no column {name!r}; it has: {', '.join(table.columns)}")
        plain = {options.id_column, options.image_column}
        return Rows(table.with_columns(_typed(column) for column in table if column.name not in plain), options)


def _text(source: Path, encoding: str | None) -> str:
    """Return the file's text, its lines ended by a line feed."""
    try:
        content = source.read_bytes()
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode(encoding or ("utf-16" if marked else "utf-8-sig"))
    except LookupError as error:
        raise CatalogError(f"there is no encoding {encoding!r}; cp1252 and latin-1 are two") from error
    except UnicodeDecodeError as error:
        advice = "say which it has: --encoding cp1252 for one" if encoding is None else "say another one"
        raise CatalogError(
            f"{source} cannot be read as a table: it is not in {encoding or 'UTF-8'}; save it as CSV UTF-8, or {advice}"
        ) from error
    except (OSError, ValueError) as error:
        raise CatalogError(f"{source} cannot be read: {error}") from error
    return text if "\n" in text else text.replace("\r", "\n")  # old spreadsheets end lines by a carriage return


def _separator(source: Path, text: str) -> str:
    """Return what separates columns: in a .csv file a comma or, as many countries' spreadsheets write, a semicolon."""
    if source.suffix.lower() == ".tsv":
        return "\t"
    header = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    return ";" if header.count(";") > header.count(",") else ","


def _reason(error: BaseException) -> str:
    text = str(error)
    if "truncate_ragged_lines" in text:
        return "a row has more values than the header has columns; a value with the separator in it goes in quotes"
    return text


TABLE: CatalogReader = TableReader()


class Rows:
    """The items of a table, made as they are asked for; `len` counts them."""

    def __init__(self, table: pl.DataFrame, options: CatalogOptions) -> None:
        self._table = table
        self._options = options

    def __len__(self) -> int:
        return self._table.height

    def __iter__(self) -> Iterator[Item]:
        for number, row in enumerate(self._table.iter_rows(named=True), start=1):
            key = row[self._options.id_column or ""]
            key = None if key is None else key.strip() or None
            name = self._image_name(key, row)
            payload = {column: value for column, value in row.items() if value is not None}
            image: str | Path | None = None
            error: CRLError | None = None
            if isinstance(name, str):
                image = name
            elif name is not None:
                image, error = image_below(self._folder, name, self._options)
                payload["image_path"] = as_text(name)  # below the folder of images, wherever that is
            # a row without a key has no id, which is reported as such
            yield Item(
                id=None if key is None else id_of_key(key),
                image=image,
                payload=payload,
                key=f"row {number}" if key is None else key,
                error=error,
            )

    @property
    def _folder(self) -> Path:
        return self._options.images or Path()

    def _image_name(self, key: str | None, row: dict[str, Any]) -> Path | str | None:
        """Return the image's path below the folder; a URL stays one, to be refused as such."""
        if self._options.image_column is not None:
            name = (row[self._options.image_column] or "").strip()
            return (name if _URL.match(name) else Path(name)) if name else None
        if self._options.images is None or key is None:
            return None
        forms = dict.fromkeys([key, unicodedata.normalize("NFC", key), unicodedata.normalize("NFD", key)])
        endings = [each for ending in IMAGE_ENDINGS for each in (ending, ending.upper())]
        candidates = [Path(f"{form}{ending}") for form in forms for ending in endings]
        return next((name for name in candidates if is_file(self._folder / name)), candidates[0])


def _typed(column: pl.Series) -> pl.Series:
    """Return the column as numbers or truths where every one of its values reads as one and reads back the same."""
    values = column.drop_nulls()
    if values.is_empty():
        return column
    if values.str.contains(_INTEGER).all():
        whole = column.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == column.null_count() else column
    if values.str.contains(_NUMBER).all():
        numbers: pl.Series = column.cast(pl.Float64).fill_nan(None)
        # a float holds whole numbers of fifteen digits, and not every exponent
        lossy = values.str.contains(_LONG_INTEGER).any() or numbers.is_infinite().any()
        return column if lossy else numbers
    if values.str.to_lowercase().is_in(["true", "false"]).all():
        return column.str.to_lowercase() == "true"
    return column
