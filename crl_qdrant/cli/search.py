"""`crl-qdrant search`: the nearest items, as a table."""

from __future__ import annotations

from typing import Annotated, TYPE_CHECKING

import typer

from crl_qdrant.cli.options import AsJson, Collection, Device, Location, open_collection
from crl_qdrant.cli.output import print_json, print_table, warn
from crl_qdrant.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from qdrant_client import models

    from crl_qdrant import CRLCollection, Hit
    from crl_qdrant.common.points import Payload

__all__ = ["search"]


def search(
    image: Annotated[str | None, typer.Argument(help="The query: an image file.")] = None,
    like: Annotated[str | None, typer.Option(help="Instead of an image: the id or key of a stored item.")] = None,
    text: Annotated[str | None, typer.Option(help="Instead of an image: a text.")] = None,
    criterion: Annotated[
        list[str] | None,
        typer.Option("--criterion", "-c", help="In which respect; several as NAME or NAME=WEIGHT; none: overall."),
    ] = None,
    modifier: Annotated[
        str | None, typer.Option("--modifier", "-m", help="How the hits should differ: “with stripes”.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many hits.")] = 10,
    where: Annotated[
        list[str] | None, typer.Option(help="FIELD=VALUE that the payload must match, a.b for b in a; may be repeated.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="Payload field to show, such as brand or crl.colour; may be repeated.")
    ] = None,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find the items most like an image, a stored item or a text."""
    from qdrant_client import models

    from crl_qdrant import id_of_key

    given = [name for name, value in (("an image", image), ("--like", like), ("--text", text)) if value is not None]
    if len(given) != 1:
        raise InputError(
            f"give one of: an image file, --like KEY, --text TEXT; got {' and '.join(given) or 'none of them'}"
        )
    wanted = [_wanted(each) for each in where or []]
    with open_collection(collection, location, device) as products:
        point = None if like is None else id_of_key(like)
        if point is not None and not products.count(models.Filter(must=[models.HasIdCondition(has_id=[point])])):
            raise NotFoundError(f"collection {collection!r} has no item {like!r}")
        hits = products.search(
            image,
            like=point,
            text=text,
            criterion=_criterion(criterion or []),
            modifier=modifier,
            limit=limit,
            query_filter=_filter(wanted),
            with_payload=field or True,
        )
        if not hits:
            _say_what_nobody_has(products, [field for field, _ in wanted])
    if as_json:
        print_json(
            [{"id": hit.id, "score": hit.score, "scores": dict(hit.scores), "payload": hit.payload} for hit in hits]
        )
    else:
        _print_table(hits, field)


def _criterion(given: list[str]) -> str | dict[str, float] | None:
    """What `search` takes: a name, or several with their weights."""
    if len(given) < 2 and not any("=" in each for each in given):
        return given[0] if given else None
    weights: dict[str, float] = {}
    for each in given:
        name, found, weight = each.partition("=")
        number = _number(weight) if found else 1.0
        if number is None or name in weights:
            raise InputError(f"--criterion takes NAME or NAME=WEIGHT, each name once, got {each!r}")
        weights[name] = number
    return weights


def _filter(wanted: list[tuple[str, str]]) -> models.Filter | None:
    from qdrant_client import models

    conditions: list[models.Condition] = []
    for key, value in wanted:
        # the command line cannot tell the number 7 from the text "7", so either counts
        readings: list[models.Condition] = [models.FieldCondition(key=key, match=models.MatchValue(value=value))]
        number = _number(value)
        if number is not None:
            readings.append(models.FieldCondition(key=key, range=models.Range(gte=number, lte=number)))
        if value in ("true", "false"):
            readings.append(models.FieldCondition(key=key, match=models.MatchValue(value=value == "true")))
        conditions.append(models.Filter(should=readings))
    return models.Filter(must=conditions) if conditions else None


def _wanted(text: str) -> tuple[str, str]:
    """Field and value in "brand=Acme"."""
    from crl_qdrant.common.points import qdrant_path

    key, found, value = text.partition("=")
    if not found or not key:
        raise InputError(f"--where takes FIELD=VALUE, got {text!r}")
    return qdrant_path(key), value


def _say_what_nobody_has(products: CRLCollection, fields: list[str]) -> None:
    """A misspelt field finds nothing, as one does that is in no stock: say which it is."""
    from qdrant_client import models

    from crl_qdrant.stores import without_value

    for field in dict.fromkeys(fields):
        if not products.count(models.Filter(must_not=[without_value(field)])):
            quotes = f"; a column whose name has a dot in it goes in quotes, '\"{field}\"=…'" if "." in field else ""
            warn(f"no item has a field {field}{quotes}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _print_table(hits: list[Hit], fields: list[str] | None) -> None:
    from crl_qdrant.ingestion.items import SOURCE_KEY

    if not hits:
        warn("no hits")
        return
    every = dict.fromkeys(key for hit in hits for key in hit.payload or {} if key != SOURCE_KEY)
    columns = fields or list(every)[:6]
    rows = []
    for hit in hits:
        values = [_shown(hit.payload or {}, column, named=fields is not None) for column in columns]
        rows.append((f"{hit.score:.4f}", hit.id, *values))
    print_table(("score", "point", *columns), rows)


def _shown(payload: Payload, column: str, *, named: bool) -> str:
    from crl_qdrant.common.points import at_path

    # a column that was not asked for is a key as it is, whatever it looks like
    value = at_path(payload, column) if named else payload.get(column)
    return "" if value is None else str(value)
