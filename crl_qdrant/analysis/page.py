"""An inspection as a page: one HTML file that holds its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import jinja2

from crl_qdrant.analysis.inspection import Inspection
from crl_qdrant.common.images import data_url, path_below
from crl_qdrant.common.points import at_path
from crl_qdrant.errors import ImageError
from crl_qdrant.search.results import Hit

__all__ = ["render_page"]

_SIDE: Final = 144  # shown at up to half of that, for sharp screens


def render_page(inspection: Inspection, *, images: Path, image_field: str) -> tuple[str, list[str]]:
    """The page as HTML, and what is wrong with the pictures that it shows a blank for.

    Args:
        inspection: with the payloads of its examples.
        images: the folder of the pictures.
        image_field: the payload field with a picture's path below it.
    """
    problems: list[str] = []
    rows = [
        {"use": use, "figures": [_figure(hit, images, image_field, problems) for hit in use.examples]}
        for use in inspection.words
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crl_qdrant.analysis", ""), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.jinja").render(inspection=inspection, rows=rows), problems


def _figure(hit: Hit, images: Path, image_field: str, problems: list[str]) -> dict[str, Any]:
    figure: dict[str, Any] = {"id": hit.id, "score": hit.score, "source": None}
    name = at_path(hit.payload or {}, image_field)
    if not isinstance(name, str):
        problems.append(f"point {hit.id} has no path of a picture in {image_field!r}")
        return figure
    try:
        figure["source"] = data_url(path_below(images, name), side=_SIDE)
    except ImageError as error:
        problems.append(str(error))
    return figure
