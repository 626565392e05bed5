"""Options and lines that several commands share."""

from __future__ import annotations

import shlex
from typing import Annotated, Final, TYPE_CHECKING

import typer

from crl_qdrant.cli.output import warn

if TYPE_CHECKING:
    from crl_qdrant import CriterionInfo, CRLCollection, Report

__all__ = [
    "AsJson",
    "Collection",
    "Device",
    "Location",
    "Overwrite",
    "command_line",
    "describe_points",
    "is_incomplete",
    "open_collection",
    "print_rejected",
    "say_if_pending",
]

DEFAULT_LOCATION: Final = "./data"
DEFAULT_COLLECTION: Final = "products"

_MOST_REJECTED: Final = 20

Location = Annotated[
    str,
    typer.Option(
        envvar="CRL_LOCATION",
        help="Where the collection is: a directory, or the URL of a Qdrant server.",
        show_default=True,
    ),
]
Collection = Annotated[str, typer.Option(envvar="CRL_COLLECTION", help="The collection's name.")]
Device = Annotated[str, typer.Option(envvar="CRL_DEVICE", help="Where to compute: auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead, for scripts.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Write to a field although it has values that crl-qdrant did not write.")
]


def open_collection(collection: str, location: str, device: str = "auto") -> CRLCollection:
    """Open the collection that a command works on."""
    from crl_qdrant import CRLCollection

    return CRLCollection.open(collection, location=location, device=device)


def print_rejected(report: Report) -> None:
    """Print the first rejected items on standard error, each with its reason."""
    for rejected in report.rejected[:_MOST_REJECTED]:
        warn(f"rejected {rejected}")
    if len(report.rejected) > _MOST_REJECTED:
        warn(f"… and {len(report.rejected) - _MOST_REJECTED} more")


def command_line(*words: str, location: str, collection: str) -> str:
    """Return a command that works as it is printed: quoted, and with the collection that it is for."""
    where = [] if location == DEFAULT_LOCATION else ["--location", location]
    which = [] if collection == DEFAULT_COLLECTION else ["--collection", collection]
    return shlex.join(["crl-qdrant", *words, *where, *which])


def describe_points(criterion: CriterionInfo, points: int) -> str:
    """Say how a search by a criterion finds the points: by an exact scan, or those with its named vector."""
    if criterion.state != "materialized":
        return f"searched by an exact scan of all {points} points"
    return f"{criterion.points} of {points} points" if is_incomplete(criterion, points) else f"{points} points"


def is_incomplete(criterion: CriterionInfo, points: int) -> bool:
    """Whether some points lack a materialized criterion's named vector, as after writes by another program."""
    return criterion.state == "materialized" and criterion.points < points


def say_if_pending(products: CRLCollection, criterion: str, location: str) -> None:
    """Print on standard error how to materialize a changed criterion, where it waits for that."""
    if any(each.name == criterion and each.pending for each in products.info().criteria):
        command = command_line("materialize", criterion, location=location, collection=products.name)
        warn(f"searches and tags use the old version until: {command}")
