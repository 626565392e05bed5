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
        typer.Option(
            "--criterion",
            "-c",
            metavar="NAME[=WEIGHT]",
            help="Criterion to search by. Repeat for several; without any, overall likeness counts.",
        ),
    ] = None,
    modifier: Annotated[
        str | None, typer.Option("--modifier", "-m", help="How the hits should differ: “with stripes”.")
    ] = None,
    criterion_weight: Annotated[
        float | None, typer.Option(show_default="0.5", help="Weight of the criteria beside --modifier; 1 is equally.")
    ] = None,
    expand: Annotated[int, typer.Option(help="Average the query with so many first hits, and search again.")] = 0,
    min_closeness: Annotated[
        float | None, typer.Option(help="Leave out hits below this closeness, from 0 to 1; try 0.3.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many hits.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE", help="Value that an item must have; a.b is field b within a. Repeat for several."
        ),
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="Payload field to show, such as brand or crl.colour. Repeat for several.")
    ] = None,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find the items most like an image, a stored item or a text."""
    from qdrant_client import models

    given = [name for name, value in (("an image", image), ("--like", like), ("--text", text)) if value is not None]
    if len(given) != 1:
        raise InputError(
            f"give one of: an image file, --like KEY, --text TEXT; got {' and '.join(given) or 'none of them'}"
        )
    wanted = [_wanted(each) for each in where or []]
    with open_collection(collection, location, device) as products:
        point = None if like is None else products.ids_of_keys([like])[0]
        if point is not None and not products.count(models.Filter(must=[models.HasIdCondition(has_id=[point])])):
            raise NotFoundError(f"collection {collection!r} has no item {like!r}")
        hits = products.search(
            image,
            like=point,
            text=text,
            criterion=_criterion(criterion or []),
            modifier=modifier,
            criterion_weight=criterion_weight,
            expand=expand,
            min_closeness=min_closeness,
            limit=limit,
            query_filter=_filter(wanted),
            with_payload=field or True,
        )
        _warn_of_fields(products, wanted if not hits else [], field or [])
    if as_json:
        print_json([_as_json(hit) for hit in hits])
    else:
        _print_table(hits, field)


def _criterion(given: list[str]) -> str | dict[str, float] | None:
    """The `criterion` that `CRLCollection.search` takes: a name, or several with their weights."""
    if len(given) < 2 and not any("=" in each for each in given):
        return given[0] if given else None
    weights: dict[str, float] = {}
    for each in given:
        name, found, weight = each.partition("=")
        number = _number(weight) if found else 1.0
        if number is None:
            raise InputError(
                f"the weight in --criterion must be a number, got {weight!r}; write {name}=1, or {name}=-0.5 for unlike"
            )
        if name in weights:
            raise InputError(f"--criterion names {name!r} more than once; give each criterion once, with its weight")
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
        raise InputError(f"--where must be FIELD=VALUE, got {text!r}; write brand=Acme")
    return qdrant_path(key), value


def _as_json(hit: Hit) -> dict[str, object]:
    entry: dict[str, object] = {"id": hit.id, "score": hit.score, "scores": dict(hit.scores), "payload": hit.payload}
    return entry | {"closeness": dict(hit.closeness)} if hit.closeness else entry


def _warn_of_fields(products: CRLCollection, wanted: list[tuple[str, str]], shown: list[str]) -> None:
    """Name the fields that no item has, among those of --where and --field, and those asked for two values at once."""
    from qdrant_client import models

    from crl_qdrant.common.points import qdrant_path
    from crl_qdrant.stores import without_value

    values: dict[str, list[str]] = {}
    for field, value in wanted:
        values.setdefault(field, []).append(value)
    for field in dict.fromkeys([*values, *map(qdrant_path, shown)]):
        if not products.count(models.Filter(must_not=[without_value(field)])):
            quotes = f"; a column whose name has a dot in it goes in quotes, '\"{field}\"=…'" if "." in field else ""
            warn(f"no item has a field {field}{quotes}")
        elif len(values.get(field, [])) > 1:
            both = " and ".join(values[field])
            warn(f"an item must match every --where, and none has {field} {both} at once; search once for each value")


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
