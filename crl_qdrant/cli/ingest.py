"""`crl-qdrant ingest`: a catalogue into a collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TYPE_CHECKING

import typer

from crl_qdrant.cli.options import AsJson, Collection, Device, Location, print_rejected
from crl_qdrant.cli.output import print_json, say
from crl_qdrant.errors import EmbeddingError, InputError, NotFoundError

if TYPE_CHECKING:
    from crl_qdrant import CRLCollection, Item, Report
    from crl_qdrant.common.arrays import Float32Array
    from crl_qdrant.ingestion.items import OnError

__all__ = ["ingest"]


def ingest(
    source: Annotated[Path, typer.Argument(help="A CSV or TSV file, or a folder of images.")],
    images: Annotated[Path | None, typer.Option(help="The folder of the images of a CSV or TSV file.")] = None,
    id_column: Annotated[str | None, typer.Option(help="The column with the keys of the items.")] = None,
    image_column: Annotated[
        str | None, typer.Option(help="The column of the images' file names; without it, <key>.jpg, .png, …")
    ] = None,
    outside: Annotated[
        bool, typer.Option("--outside", help="Allow images outside the folder: by .., absolute paths or links.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of a table that is not in UTF-8: cp1252, latin-1, …")
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
    stop_on_error: Annotated[bool, typer.Option("--stop-on-error", help="Stop at the first bad item.")] = False,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Store a catalogue: a table or a folder of images.

    An interrupted run resumes: stored items that have not changed are not embedded again.
    """
    if embeddings is None and images is None and image_column is None and source.is_file() and id_column:
        raise InputError(
            f"say where the images of {source} are: --images DIR, --image-column NAME, or bring --embeddings FILE.npy"
        )
    if embeddings is not None and source.is_dir():
        raise InputError(f"--embeddings are in the order of a table's rows, and {source} is a folder; give a table")
    from crl_qdrant.ingestion.catalogs import CatalogOptions, find_reader

    options = CatalogOptions(images, id_column, image_column, outside=outside, encoding=encoding)
    items = find_reader(source).read(source, options)
    total = len(items) if isinstance(items, Sized) else None
    dimension = None
    if embeddings is not None:
        vectors = _vectors(embeddings, source, total)
        items, dimension = _with_embeddings(items, vectors), vectors.shape[1]
    with _open_or_create(collection, location, encoder, device, dimension) as products:
        _check_encoder(products, embeddings, dimension)
        on_error: OnError = "raise" if stop_on_error else "skip"
        report = products.ingest(items, total=total, batch_size=batch_size, on_error=on_error)
        products.optimize()
    _print_report(report, as_json)
    if report.rejected and not report.written and not report.unchanged:
        raise typer.Exit(1)  # nothing at all was of use


def _vectors(embeddings: Path, source: Path, total: int | None) -> Float32Array:
    from crl_qdrant.common.npy import read_matrix

    vectors = read_matrix(embeddings)
    if total is not None and total != len(vectors):
        raise EmbeddingError(
            f"{embeddings} has {len(vectors)} rows and {source} has {total} items; each item needs one"
        )
    return vectors


def _check_encoder(products: CRLCollection, embeddings: Path | None, dimension: int | None) -> None:
    info = products.info()
    if dimension is not None and dimension != info.dimension:
        raise EmbeddingError(
            f"{embeddings} has {dimension} columns, and the embeddings of collection {products.name!r} have "
            f"{info.dimension} dimensions"
        )
    if dimension is None and info.encoder is None:
        raise InputError(f"collection {products.name!r} has no encoder for images; bring --embeddings FILE.npy")


def _print_report(report: Report, as_json: bool) -> None:
    print_rejected(report)
    if not as_json:
        replaced = f" ({report.replaced} in the place of stored ones)" if report.replaced else ""
        say(f"{report.written} written{replaced}, {report.unchanged} unchanged, {len(report.rejected)} rejected")
        return
    rejected = [{"id": each.id, "key": each.key, "reason": str(each.error)} for each in report.rejected]
    counts = {"written": report.written, "replaced": report.replaced, "unchanged": report.unchanged}
    print_json(counts | {"rejected": rejected})


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


def _with_embeddings(items: Iterable[Item], vectors: Float32Array) -> Iterator[Item]:
    for item, vector in zip(items, vectors, strict=True):
        yield replace(item, embedding=vector)
