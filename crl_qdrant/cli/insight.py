"""`crl-qdrant criteria inspect`, `tag` and `ablate`: what a criterion does on a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TYPE_CHECKING

import typer

from crl_qdrant.cli.options import AsJson, Collection, Device, Location, open_collection, print_json
from crl_qdrant.errors import InputError

if TYPE_CHECKING:
    from crl_qdrant import Inspection

__all__ = ["inspect", "tag"]

Name = Annotated[str, typer.Argument(help="The criterion's name.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the random choice of items.")]


def inspect(
    name: Name,
    page: Annotated[Path | None, typer.Option(help="Write a page with example pictures to this HTML file.")] = None,
    images_root: Annotated[
        Path, typer.Option("--images-root", "--images", help="The folder of the pictures, for the page.")
    ] = Path(),
    image_field: Annotated[str, typer.Option(help="The payload field with a picture's path below it.")] = "image_path",
    sample: Annotated[int, typer.Option(min=1, help="How many items to look at.")] = 1000,
    top: Annotated[int, typer.Option(min=1, help="How many words an item has.")] = 1,
    examples: Annotated[int, typer.Option(min=0, help="Example items of each word.")] = 8,
    seed: Seed = 0,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Look into a criterion: which of its words are used, by which items, and what it shares with other criteria."""
    with open_collection(collection, location, device) as products:
        found = products.inspect(name, sample=sample, top=top, examples=examples, seed=seed, with_payload=[image_field])
    if page is not None:
        _write(page, found, images_root, image_field)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_inspection(found)


def _write(page: Path, inspection: Inspection, images: Path, image_field: str) -> None:
    from crl_qdrant.insight.page import render_page

    html, problems = render_page(inspection, images=images, image_field=image_field)
    try:
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{page} cannot be written: {error}") from error
    if problems:
        typer.echo(f"{len(problems)} pictures are not shown, the first: {problems[0]}", err=True)


def _print_inspection(inspection: Inspection) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    typer.echo(
        f"{inspection.criterion}: {len(inspection.words)} words, {inspection.rank} dimensions, effective rank "
        f"{inspection.effective_rank:.1f}, common to all words {inspection.common:.2f}; {inspection.items} items"
    )
    for name, overlap in inspection.overlaps.items():
        typer.echo(f"overlap with {name}: {overlap.mean:.2f}, largest cosine {overlap.largest:.2f}")
    typer.echo(f"never fire: {', '.join(inspection.never) or 'none'}")
    typer.echo(f"tell nothing apart, for nearly all items are like them: {', '.join(inspection.always) or 'none'}")
    table = Table("word", "fires", "items most of it")
    for use in inspection.words:
        table.add_row(Text(use.word), f"{use.fires:.1%}", ", ".join(str(hit.id) for hit in use.examples[:5]))
    console.print(table)


def tag(
    name: Name,
    top: Annotated[int, typer.Option(min=1, help="How many words an item gets, at most.")] = 1,
    field: Annotated[
        str | None, typer.Option(help="Where below the payload key crl; without it, the criterion's name.")
    ] = None,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write each item's words to its payload, for filters and facets. Stopped and run again, it goes on."""
    with open_collection(collection, location, device) as products:
        written = products.tag(name, top=top, field=field)
    if as_json:
        print_json({"criterion": name, "written": written})
    else:
        typer.echo(f"criterion {name}: {written} points tagged")
