"""What several commands share: where the collection is, and how answers are printed."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from crl_qdrant import CRLCollection, Report

__all__ = [
    "AsJson",
    "Collection",
    "Device",
    "Location",
    "open_collection",
    "print_json",
    "print_rejected",
    "say_if_pending",
]

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


def print_json(value: Any) -> None:
    """One JSON document on standard output, dates and enums as texts."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str, indent=2) + "\n")


def print_rejected(report: Report, *, most: int = 20) -> None:
    """The rejected items on standard error, each with its reason."""
    for rejected in report.rejected[:most]:
        typer.echo(f"rejected {rejected}", err=True)
    if len(report.rejected) > most:
        typer.echo(f"… and {len(report.rejected) - most} more", err=True)


def say_if_pending(products: CRLCollection, criterion: str) -> None:
    """On standard error, where a changed criterion waits to be materialised: how to do that."""
    if any(each.name == criterion and each.pending for each in products.info().criteria):
        typer.echo(f"searches use the old version until: crl-qdrant materialize {criterion}", err=True)
