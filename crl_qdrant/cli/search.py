"""`crl-qdrant search`: the nearest items, as a table."""

from __future__ import annotations

from typing import Annotated, Any, TYPE_CHECKING

import typer

from crl_qdrant.cli.options import AsJson, Collection, Device, Location, open_collection, print_json
from crl_qdrant.errors import InputError

if TYPE_CHECKING:
    from qdrant_client import models

    from crl_qdrant import Hit

__all__ = ["search"]


def search(
    image: Annotated[str | None, typer.Argument(help="The query: an image file.")] = None,
    like: Annotated[str | None, typer.Option(help="Instead of an image: the id of a stored item.")] = None,
    text: Annotated[str | None, typer.Option(help="Instead of an image: a text.")] = None,
    criterion: Annotated[
        str | None, typer.Option("--criterion", "-c", help="In which respect; without it, overall.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many hits.")] = 10,
    where: Annotated[
        list[str] | None, typer.Option(help="FIELD=VALUE that the payload must match; may be repeated.")
    ] = None,
    field: Annotated[list[str] | None, typer.Option(help="Payload field to show; may be repeated.")] = None,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find the items most like an image, a stored item or a text."""
    with open_collection(collection, location, device) as products:
        hits = products.search(
            image,
            like=None if like is None else int(like) if like.isdecimal() else like,
            text=text,
            criterion=criterion,
            limit=limit,
            query_filter=_filter(where or []),
            with_payload=field or True,
        )
    if as_json:
        print_json([{"id": hit.id, "score": hit.score, "payload": hit.payload} for hit in hits])
    else:
        _print_table(hits, field)


def _filter(where: list[str]) -> models.Filter | None:
    from qdrant_client import models

    conditions: list[models.Condition] = []
    for each in where:
        key, found, value = each.partition("=")
        if not found or not key:
            raise InputError(f"--where takes FIELD=VALUE, got {each!r}")
        # the command line cannot tell the number 7 from the text "7", so either counts
        readings: list[Any] = [value]
        if value.isdecimal():
            readings.append(int(value))
        elif value in ("true", "false"):
            readings.append(value == "true")
        matches: list[models.Condition] = [
            models.FieldCondition(key=key, match=models.MatchValue(value=reading)) for reading in readings
        ]
        conditions.append(models.Filter(should=matches))
    return models.Filter(must=conditions) if conditions else None


def _print_table(hits: list[Hit], fields: list[str] | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from crl_qdrant.ingest import SOURCE_KEY

    columns = (
        fields
        or [key for key in dict.fromkeys(key for hit in hits for key in hit.payload or {}) if key != SOURCE_KEY][:6]
    )
    table = Table("score", "id", *columns)
    for hit in hits:
        values = [str((hit.payload or {}).get(column, "")) for column in columns]
        table.add_row(f"{hit.score:.4f}", str(hit.id), *values)
    Console().print(table)
