"""`crl-qdrant delete`: removes items from a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from crl_qdrant.cli.options import AsJson, Collection, Location, open_collection
from crl_qdrant.cli.output import print_json, say

__all__ = ["delete"]


def delete(
    keys: Annotated[list[str], typer.Argument(help="Ids or keys of the items.")],
    location: Location = "./data",
    collection: Collection = "products",
    as_json: AsJson = False,
) -> None:
    """Remove items by their ids or keys. Keys that are not stored are no error."""
    with open_collection(collection, location) as products:
        before = products.count()
        products.delete(products.ids_of_keys(keys))
        deleted = before - products.count()
    if as_json:
        print_json({"deleted": deleted})
    else:
        say(f"{deleted} deleted")
