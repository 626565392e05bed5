"""`crl-qdrant criteria inspect`, `tag` and `ablate`: a criterion on a collection."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TYPE_CHECKING

import typer

from crl_qdrant.cli.options import (
    AsJson,
    Collection,
    command_line,
    Device,
    Location,
    open_collection,
    Overwrite,
    say_if_pending,
)
from crl_qdrant.cli.output import print_json, print_table, say, warn
from crl_qdrant.errors import InputError

if TYPE_CHECKING:
    from crl_qdrant import Ablation, Inspection

__all__ = ["ablate", "inspect", "tag"]

Name = Annotated[str, typer.Argument(help="The criterion's name.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random choice of items.")]


def inspect(
    name: Name,
    page: Annotated[Path | None, typer.Option(help="Write a page with example images to this HTML file.")] = None,
    images_root: Annotated[
        Path, typer.Option("--images-root", "--images", help="The folder of the images, for the page.")
    ] = Path(),
    image_field: Annotated[
        str, typer.Option(help="The payload field with an image's path in that folder.")
    ] = "image_path",
    sample: Annotated[int, typer.Option(min=1, help="How many items to use, chosen at random.")] = 1000,
    top: Annotated[int, typer.Option(min=1, help="How many words an item has.")] = 1,
    examples: Annotated[int, typer.Option(min=0, help="How many example items to show for each word.")] = 8,
    seed: Seed = 0,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Inspect a criterion: its words, their items, and overlaps.

    Overlaps are directions that it shares with other criteria.
    """
    with open_collection(collection, location, device) as products:
        found = products.inspect(name, sample=sample, top=top, examples=examples, seed=seed, with_payload=[image_field])
        say_if_pending(products, name, location)
    if page is not None:
        _write(page, found, images_root, image_field)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_inspection(found)


def _write(page: Path, inspection: Inspection, images: Path, image_field: str) -> None:
    from crl_qdrant.analysis.page import render_page

    html, problems = render_page(inspection, images=images, image_field=image_field)
    try:
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{page} cannot be written: {error}") from error
    if problems:
        warn(f"{len(problems)} pictures are not shown, the first: {problems[0]}")


def _print_inspection(inspection: Inspection) -> None:
    say(
        f"{inspection.criterion}: {len(inspection.words)} words, {inspection.rank} dimensions, effective rank "
        f"{inspection.effective_rank:.1f}, common to all words {inspection.common:.2f}; {inspection.items} items"
    )
    if inspection.lift is not None:
        say(f"  lift {inspection.lift:.1f} (1 is chance), the plain image's share {inspection.rest:.2f}")
    for name, overlap in inspection.overlaps.items():
        say(f"overlap with {name}: {overlap.mean:.2f}, largest cosine {overlap.largest:.2f}")
    say(f"never fire: {', '.join(inspection.never) or 'none'}")
    say(f"tell nothing apart, for nearly all items are like them: {', '.join(inspection.always) or 'none'}")
    rows = [
        (use.word, f"{use.fires:.1%}", ", ".join(str(hit.id) for hit in use.examples[:5])) for use in inspection.words
    ]
    print_table(("word", "fires", "items most of it"), rows)


def tag(
    name: Name,
    top: Annotated[int, typer.Option(min=1, help="How many words an item gets, at most.")] = 1,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Items whose word has a lower score get no tag; 0 tags every item.")
    ] = 0.5,
    field: Annotated[
        str | None, typer.Option(help="The payload field to write to; without it, the criterion's name below crl.")
    ] = None,
    overwrite: Overwrite = False,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write each item's words to its payload, for filters.

    An interrupted run resumes.
    """
    with open_collection(collection, location, device) as products:
        written = products.tag(name, top=top, min_score=min_score, field=field, overwrite=overwrite)
        say_if_pending(products, name, location)
    if as_json:
        print_json({"criterion": name, "written": written})
    else:
        say(f"criterion {name}: {written} points tagged")


def ablate(
    name: Name,
    labels: Annotated[str, typer.Option(help="The payload field that says which items belong together.")],
    sample: Annotated[int, typer.Option(min=2, help="How many items to compare, chosen at random.")] = 1000,
    seed: Seed = 0,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Compare presets and options on labels; recommend one."""
    with open_collection(collection, location, device) as products:
        found = products.ablate(name, labels, sample=sample, seed=seed)
    words = None if found.command is None else shlex.split(found.command)[1:]
    command = None if words is None else command_line(*words, location=location, collection=collection)
    if as_json:
        print_json(asdict(found) | {"recommended": found.recommended.name, "command": command})
    else:
        _print_ablation(found, command)


def _print_ablation(ablation: Ablation, command: str | None) -> None:
    rows = []
    for each in ablation.variants:
        beside = ("", "") if each.name == ablation.reference else (f"{each.gain:+.3f}", f"{each.error:.3f}")
        rows.append((each.name, f"{each.precision:.3f}", *beside, "current" if each.current else ""))
    print_table(("variant", "mAP", f"beside {ablation.reference}", "standard error", ""), rows)
    for name, reason in ablation.skipped.items():
        say(f"left out {name}: {reason}")
    chosen = ablation.recommended
    if not ablation.helps:
        say(f"no variant is better by {ablation.labels} than a search without a criterion (raw)")
    if command is None:
        say(f"keep it as it is ({chosen.name}), by {ablation.items} items with {ablation.labels}")
    else:
        say(f"best by {ablation.items} items with {ablation.labels}: {chosen.name}; to take it:")
        say(command)
