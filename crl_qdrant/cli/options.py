"""What several commands share: where the collection is, and how answers are printed."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Final, TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from crl_qdrant import CRLCollection, Report

__all__ = [
    "AsJson",
    "Collection",
    "Device",
    "Location",
    "console",
    "open_collection",
    "print_json",
    "print_rejected",
    "say_if_pending",
]

_MOST_REJECTED: Final = 20

Location = Annotated[
    str,
    typer.Option(envvar="CRL_LOCATION", help="A directory, or the http(s) URL of a Qdrant server.", show_default=True),
]
Collection = Annotated[str, typer.Option(envvar="CRL_COLLECTION", help="The collection's name.")]
Device = Annotated[str, typer.Option(envvar="CRL_DEVICE", help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def open_collection(collection: str, location: str, device: str = "auto") -> CRLCollection:
    """The collection that a command works on."""
    from crl_qdrant import CRLCollection

    return CRLCollection.open(collection, location=location, device=device)


def console() -> Console:
    """Standard output for tables; in a pipe nothing is cut, since what reads it has no width."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 10_000)


def print_json(value: Any) -> None:
    """One JSON document on standard output, dates and enums as texts."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str, indent=2) + "\n")


def print_rejected(report: Report) -> None:
    """The first rejected items on standard error, each with its reason."""
    for rejected in report.rejected[:_MOST_REJECTED]:
        typer.echo(f"rejected {rejected}", err=True)
    if len(report.rejected) > _MOST_REJECTED:
        typer.echo(f"… and {len(report.rejected) - _MOST_REJECTED} more", err=True)


def say_if_pending(products: CRLCollection, criterion: str) -> None:
    """On standard error, where a changed criterion waits to be materialised: how to do that."""
    if any(each.name == criterion and each.pending for each in products.info().criteria):
        typer.echo(f"searches and tags use the old version until: crl-qdrant materialize {criterion}", err=True)
