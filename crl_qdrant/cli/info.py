"""`crl-qdrant info`: what a collection holds."""

from __future__ import annotations

from dataclasses import asdict

from crl_qdrant.cli.options import AsJson, Collection, Location, open_collection
from crl_qdrant.cli.output import print_json, say

__all__ = ["info"]


def info(location: Location = "./data", collection: Collection = "products", as_json: AsJson = False) -> None:
    """Show a collection's size, encoder and criteria."""
    with open_collection(collection, location) as products:
        content = products.info()
    if as_json:
        print_json(asdict(content))
        return
    say(f"{content.name}: {content.points} points, {content.dimension} dimensions, encoder {content.encoder or 'none'}")
    for each in content.criteria:
        say(f"  {each.name}: {len(each.words)} words, {each.rank} dimensions, {each.status}, {each.points} points")
