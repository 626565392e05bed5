"""`crl-qdrant delete`: items out of a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from crl_qdrant.cli.options import AsJson, Collection, Location, open_collection
from crl_qdrant.cli.output import print_json, say

__all__ = ["delete"]


def delete(
    keys: Annotated[list[str], typer.Argument(help="The items' ids or keys.")],
    location: Location = "./data",
    collection: Collection = "products",
    as_json: AsJson = False,
) -> None:
    """Remove items; those that are not there are no error."""
    from crl_qdrant import id_of_key

    with open_collection(collection, location) as products:
        before = products.count()
        products.delete([id_of_key(key) for key in keys])
        deleted = before - products.count()
    if as_json:
        print_json({"deleted": deleted})
    else:
        say(f"{deleted} deleted")
