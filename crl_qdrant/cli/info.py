"""`crl-qdrant info`: shows what a collection holds."""

from __future__ import annotations

import shlex
from dataclasses import asdict

from crl_qdrant.cli.options import (
    AsJson,
    Collection,
    command_line,
    describe_points,
    is_incomplete,
    Location,
    open_collection,
)
from crl_qdrant.cli.output import print_json, say, warn

__all__ = ["info"]


def info(location: Location = "./data", collection: Collection = "products", as_json: AsJson = False) -> None:
    """Show the size, encoder and criteria of a collection."""
    with open_collection(collection, location) as products:
        content = products.info()
    if as_json:
        print_json(asdict(content))
        return
    say(f"{content.name}: {content.points} points, {content.dimension} dimensions, encoder {content.encoder or 'none'}")
    for each in content.criteria:
        points = describe_points(each, content.points)
        say(f"  {each.name}: {len(each.words)} words, {each.rank} dimensions, {each.status}, {points}")
        if each.advice:
            reason, _, words = each.advice.rpartition(": crl-qdrant ")
            command = command_line(*shlex.split(words), location=location, collection=collection)
            say(f"    {reason}: {command}")
    for each in content.criteria:
        if is_incomplete(each, content.points):
            command = command_line("materialize", each.name, location=location, collection=collection)
            warn(f"searches by {each.name} find {each.points} of {content.points} points until: {command}")
