"""`crl-qdrant migrate`: embeds a collection again with another encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from crl_qdrant.cli.options import AsJson, Collection, Device, Location, open_collection
from crl_qdrant.cli.output import print_json, say, warn
from crl_qdrant.errors import InputError

__all__ = ["migrate"]


def migrate(
    encoder: Annotated[str, typer.Argument(help="The new encoder, such as open_clip:<model>/<tag>.")],
    images: Annotated[Path, typer.Option(help="The folder of the images.")] = Path(),
    image_field: Annotated[
        str, typer.Option(help="The payload field with an image's path in that folder.")
    ] = "image_path",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many points, and about how long.")] = False,
    skip: Annotated[bool, typer.Option("--skip", help="Leave out points whose image cannot be embedded.")] = False,
    drop_previous: Annotated[
        bool, typer.Option("--drop-previous", help="Remove the old embeddings when all is done.")
    ] = False,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Embed every image again with another encoder.

    Searches switch to the new embeddings when all are written. An interrupted migration resumes.
    """

    from crl_qdrant.common.images import path_below
    from crl_qdrant.common.points import at_path

    def image_of(point: int | str, payload: Mapping[str, Any]) -> Path:
        name = at_path(dict(payload), image_field)
        if name is None:
            raise InputError(f"it has no payload field {image_field!r}")
        return path_below(images, str(name))

    with open_collection(collection, location, device) as products:
        found = products.migrate(
            encoder, image_of, dry_run=dry_run, on_error="skip" if skip else "raise", device=device
        )
        if found.done and drop_previous:
            products.drop_previous()
    for rejected in found.rejected[:20]:
        warn(f"left out {rejected}")
    if as_json:
        rejected_ones = [{"id": each.id, "reason": str(each.error)} for each in found.rejected]
        print_json(asdict(found) | {"rejected": rejected_ones})
        return
    for remark in found.remarks:
        say(remark)
    size = f"{found.bytes / 1e6:,.1f} MB of vectors"
    if dry_run:
        say(f"{found.left} of {found.points} points to embed, about {found.seconds:,.0f} s, and {size}")
    else:
        say(f"{found.points - found.left} of {found.points} points are in {found.encoder} now, {size}")
