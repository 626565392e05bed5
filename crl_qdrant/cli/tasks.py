"""`crl-qdrant cluster`, `few-shot` and `train-head`: tasks beside search."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TYPE_CHECKING

import typer

from crl_qdrant.cli.options import (
    AsJson,
    Collection,
    Device,
    Location,
    open_collection,
    Overwrite,
    say_if_pending,
)
from crl_qdrant.cli.output import print_json, print_table, say, warn
from crl_qdrant.errors import InputError

if TYPE_CHECKING:
    from crl_qdrant.common.points import PointId

__all__ = ["cluster", "few_shot", "train_head"]

Labels = Annotated[
    str,
    typer.Option(help="The payload field with the labels, or a CSV or TSV file with columns id (or key) and label."),
]
Field = Annotated[str | None, typer.Option(help="A payload field to write the answer to, such as crl.group.")]


def cluster(
    criterion: Annotated[str | None, typer.Argument(help="Criterion to use. Without it: overall likeness.")] = None,
    number: Annotated[int | None, typer.Option("-k", help="How many groups. Without it, a number is chosen.")] = None,
    field: Field = None,
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option(help="Seed of the random start.")] = 0,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Group the items by a criterion."""
    with open_collection(collection, location, device) as products:
        found = products.cluster(criterion, number, field=field, overwrite=overwrite, seed=seed)
    if as_json:
        groups = [{"name": each.name, "size": each.size, "examples": each.examples} for each in found.clusters]
        members = dict(zip(map(str, found.ids), found.labels.tolist(), strict=True))
        silhouette = None if math.isnan(found.silhouette) else found.silhouette
        print_json({"groups": groups, "silhouette": silhouette, "group_of": members})
        return
    rows = [
        (position, each.name, each.size, ", ".join(map(str, each.examples[:5])))
        for position, each in enumerate(found.clusters)
    ]
    print_table(("group", "name", "items", "examples"), rows)
    say(f"{len(found.ids)} items in {len(found.clusters)} groups, silhouette {found.silhouette:.3f}")


def few_shot(
    labels: Labels,
    criterion: Annotated[str | None, typer.Argument(help="Criterion to use. Without it: overall likeness.")] = None,
    abstain: Annotated[
        bool, typer.Option(help="Leave items without a label if no example is near; --no-abstain labels all.")
    ] = True,
    field: Field = None,
    overwrite: Overwrite = False,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Label the other items from a few examples."""
    from collections import Counter

    with open_collection(collection, location, device) as products:
        found = products.few_shot(criterion, _labels(labels), abstain=abstain, field=field, overwrite=overwrite)
    answers = list(zip(found.ids, found.labels, found.probabilities.tolist(), strict=True))
    if as_json:
        listed = [{"id": point, "label": label, "probability": value} for point, label, value in answers]
        print_json({"examples": len(found.examples), "accuracy": found.accuracy, "labels": listed})
        return
    given = Counter(label for label in found.labels if label is not None)
    right = "" if found.accuracy is None else f"; examples left out in turn are right in {found.accuracy:.0%}"
    say(f"{given.total()} items labelled from {len(found.examples)} examples{right}")
    for label, number in given.most_common():
        say(f"  {label}: {number}")
    if given.total() < len(found.ids):
        say(f"{len(found.ids) - given.total()} items left without a label: no example is near")
    elif abstain and not found.abstains:
        warn("every item got a label: with one example of each label nothing tells what is near")


def train_head(
    criterion: Annotated[str, typer.Argument(help="The criterion's name.")],
    labels: Labels,
    out: Annotated[int, typer.Option(help="Dimensions of the head's output.")] = 128,
    epochs: Annotated[int, typer.Option(help="Largest number of epochs.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the random start.")] = 0,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Train a head for a criterion on labels.

    If the criterion is materialized, searches switch to the head when materialize runs.
    """
    with open_collection(collection, location, device) as products:
        report = products.train_head(criterion, _labels(labels), out=out, epochs=epochs, seed=seed)
        if report.kept and not as_json:
            say_if_pending(products, criterion, location)
    if as_json:
        print_json(asdict(report))
        return
    say(
        f"mAP of {report.validated_on} items it was not trained on: raw {report.raw:.3f}, "
        f"criterion {report.training_free:.3f}, with the head {report.head:.3f}"
    )
    if not report.kept:
        warn(f"criterion {criterion} stays as it is: the head is no better")


def _labels(source: str) -> str | dict[PointId, str]:
    """The name of a payload field, or the labels in a CSV file."""
    from crl_qdrant import id_of_key

    path = Path(source)
    if path.suffix.lower() not in (".csv", ".tsv"):
        return source
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            # commas, or what spreadsheets write in countries where numbers have commas
            rows = list(csv.DictReader(file, delimiter=max(",;\t", key=header.count)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if rows and not ({"id", "key"} & rows[0].keys() and "label" in rows[0]):
        raise InputError(f"{path} needs columns id (or key) and label; it has {', '.join(map(str, rows[0]))}")
    found: dict[PointId, str] = {}
    for number, row in enumerate(rows, start=1):
        key, label = ((row.get(name) or "").strip() for name in ("id" if "id" in row else "key", "label"))
        if not label:
            continue
        point = id_of_key(key)
        if not key or point in found:
            flaw = f"key {key!r} again; keep one of them" if key else "a label and no key"
            raise InputError(f"row {number} of {path} has {flaw}")
        found[point] = label
    return found
