"""`crl-qdrant ingest`: a catalogue into a collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TYPE_CHECKING
from zipfile import BadZipFile

import typer

from crl_qdrant.cli.options import AsJson, Collection, Device, Location, print_rejected
from crl_qdrant.cli.output import print_json, say
from crl_qdrant.errors import EmbeddingError, InputError, NotFoundError

if TYPE_CHECKING:
    from crl_qdrant import CRLCollection, Item
    from crl_qdrant.common.arrays import Float32Array

__all__ = ["ingest"]


def ingest(
    source: Annotated[Path, typer.Argument(help="A CSV or TSV file, or a folder of images.")],
    images: Annotated[Path | None, typer.Option(help="The folder of the pictures of a CSV or TSV file.")] = None,
    id_column: Annotated[str | None, typer.Option(help="The column of the items' keys.")] = None,
    image_column: Annotated[
        str | None, typer.Option(help="The column of the pictures' file names; without it, <key>.jpg, .png, …")
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="A .npy file [N, d] with one embedding for each row, instead of an encoder.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help='For a new collection: "demo", "open_clip:<model>/<pretrained>" or "transformers:<repository>".'
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Items embedded and written at once.")] = 128,
    stop_on_error: Annotated[bool, typer.Option(help="Stop at the first item that cannot be stored.")] = False,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Store a catalogue. Stopped at any time and run again, it goes on where it was."""
    if embeddings is None and images is None and image_column is None and source.is_file() and id_column:
        raise InputError(
            f"say where the pictures of {source} are: --images DIR, --image-column NAME, or bring --embeddings FILE.npy"
        )
    from crl_qdrant.ingestion.catalogs import CatalogOptions, find_reader

    if embeddings is not None and source.is_dir():
        raise InputError(f"--embeddings are in the order of a table's rows, and {source} is a folder; give a table")
    items = find_reader(source).read(source, CatalogOptions(images, id_column, image_column))
    vectors = None if embeddings is None else _load(embeddings)
    total = len(items) if isinstance(items, Sized) else None
    if vectors is not None:
        if total is not None and total != len(vectors):
            raise EmbeddingError(
                f"{embeddings} has {len(vectors)} rows and {source} has {total} items; each item needs one"
            )
        items = _with_embeddings(items, vectors)
    with _open_or_create(
        collection, location, encoder, device, None if vectors is None else vectors.shape[1]
    ) as products:
        held = products.info()
        if vectors is not None and vectors.shape[1] != held.dimension:
            raise EmbeddingError(
                f"{embeddings} has {vectors.shape[1]} columns, and the embeddings of collection {collection!r} have "
                f"{held.dimension} dimensions"
            )
        if vectors is None and held.encoder is None:
            raise InputError(f"collection {collection!r} has no encoder for pictures; bring --embeddings FILE.npy")
        report = products.ingest(
            items, total=total, batch_size=batch_size, on_error="raise" if stop_on_error else "skip"
        )
        products.optimize()
    print_rejected(report)
    if as_json:
        print_json(
            {
                "written": report.written,
                "replaced": report.replaced,
                "unchanged": report.unchanged,
                "rejected": [{"id": each.id, "key": each.key, "reason": str(each.error)} for each in report.rejected],
            }
        )
    else:
        anew = f" ({report.replaced} in the place of stored ones)" if report.replaced else ""
        say(f"{report.written} written{anew}, {report.unchanged} unchanged, {len(report.rejected)} rejected")
    if report.rejected and not report.written and not report.unchanged:
        raise typer.Exit(1)  # nothing at all was of use


def _open_or_create(
    collection: str, location: str, encoder: str | None, device: str, dimension: int | None
) -> CRLCollection:
    from crl_qdrant import CRLCollection

    try:
        return CRLCollection.open(collection, location=location, encoder=encoder, device=device)
    except NotFoundError:
        if encoder is None and dimension is None:
            raise InputError(
                f"there is no collection {collection!r} in {location} yet; to make it say what embeds its images: "
                "--encoder demo, --encoder open_clip:<model>/<pretrained>, --encoder transformers:<repository>, "
                "or --embeddings FILE.npy"
            ) from None
        return CRLCollection.create(collection, location=location, encoder=encoder, dimension=dimension, device=device)


def _load(path: Path) -> Float32Array:
    import numpy as np

    from crl_qdrant.common.arrays import matrix

    try:
        with path.open("rb") as file:  # np.load leaves a file open that it cannot read
            loaded = np.load(file)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise EmbeddingError(f"{path} cannot be read as a .npy file: {error}") from error
    if not isinstance(loaded, np.ndarray):
        raise EmbeddingError(f"{path} holds several arrays; give a .npy file with one")
    return matrix(loaded, what=str(path))


def _with_embeddings(items: Iterable[Item], vectors: Float32Array) -> Iterator[Item]:
    for item, vector in zip(items, vectors, strict=True):
        yield replace(item, embedding=vector)
