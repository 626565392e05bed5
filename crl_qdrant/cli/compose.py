"""`crl-qdrant eval compose`: composed search measured on labels of one's own, to choose the criterion's weight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, TYPE_CHECKING

import typer

from crl_qdrant.cli.options import AsJson, Collection, Device, Location, open_collection
from crl_qdrant.cli.output import print_json, print_table, say
from crl_qdrant.errors import InputError

if TYPE_CHECKING:
    from crl_qdrant.analysis.composed import Composed, Way

__all__ = ["compose"]


def compose(
    same: Annotated[str, typer.Option(help="The payload field that hits should share with the query, as colour.")],
    other: Annotated[str, typer.Option(help="The payload field that the text changes, as type.")],
    criterion: Annotated[
        str | None, typer.Option(help="The criterion that keeps --same; without it, the one of that name, or none.")
    ] = None,
    values: Annotated[
        Path | None, typer.Option(help='A JSON file of the words for each value of --other, {"Tshirts": "t-shirt"}.')
    ] = None,
    template: Annotated[str, typer.Option(help="The text, with {value} for the words.")] = "a {value}",
    limit: Annotated[int, typer.Option(min=20, help="How many queries.")] = 250,
    seed: Annotated[int, typer.Option(min=0, help="Of the random choice of queries.")] = 0,
    weights: Annotated[str, typer.Option(help="The criterion's weights to try.")] = "0.25,0.5,0.7,1,1.4,2,4",
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find the weight of a criterion beside words, on your labels.

    Each query asks for "the same A, but another B".
    """
    with open_collection(collection, location, device) as products:
        found = products.measure_composed(
            same,
            other,
            criterion=criterion,
            values=None if values is None else _words_of(values),
            template=template,
            limit=limit,
            seed=seed,
            weights=_numbers(weights),
        )
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)


def _print(found: Composed) -> None:
    headings = ("search", "mAP", "±", "precision@10", "±", "beside the text", "±")
    title = f"the same {found.same}, but another {found.other}"
    print_table(headings, [_cells(way) for way in found.ways], title=title)
    say(
        f"{found.queries} queries among {found.items} items, {found.relevant:.1f} relevant on average; "
        f"criterion: {found.criterion or 'none, the raw embeddings'}"
    )
    if found.helps:
        say(f"recommended: criterion_weight={found.recommended:g}")
    else:
        say("this criterion adds nothing to the words: no weight is ahead of the text alone")


def _cells(way: Way) -> tuple[str, ...]:
    every = (way.precision, way.error, way.first_ten, way.first_ten_error)
    beside = ("", "") if way.weight == 0 else (f"{100 * way.gain:+.1f}", f"{100 * way.gain_error:.1f}")
    return (way.name, *(f"{100 * each:.1f}" for each in every), *beside)


def _numbers(text: str) -> list[float]:
    try:
        return [float(each) for each in text.split(",")]
    except ValueError as error:
        raise InputError(f"`--weights` must be numbers with commas between them, got {text!r:.80}") from error


def _words_of(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict) or not found or not all(isinstance(each, str) for each in found.values()):
        raise InputError(f'{path} must be an object of value -> words, {{"Tshirts": "t-shirt"}}')
    return found
