"""The demo's page: for several query products, the nearest by plain search, by each criterion, and by combinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import jinja2

from crl_qdrant.collection import CRLCollection
from crl_qdrant.demo.products import ATTRIBUTES, Product

__all__ = ["render_page"]

_QUERIES: Final = 6
_HITS: Final = 8


def render_page(
    collection: CRLCollection, products: Sequence[Product], precision: Mapping[str, tuple[float, float]]
) -> str:
    """The page as HTML; its pictures are `images/<number>.png` beside it."""
    queries = [
        {"product": products[number], "image": _image(number), "rows": _rows(collection, number, products[number])}
        for number in _distinct(products)
    ]
    environment = jinja2.Environment(loader=jinja2.PackageLoader("crl_qdrant.demo", ""), autoescape=True)
    template = environment.get_template("page.html.jinja")
    return template.render(queries=queries, precision=precision, number=len(products))


class _Row(NamedTuple):
    """One search of the page: its name, its options, and the attributes of a right hit.

    `unlike` is the attribute in which a right hit differs from the query; "" for none.
    """

    name: str
    options: dict[str, Any]
    right: dict[str, str]
    unlike: str = ""

    def is_right(self, payload: dict[str, Any], own: dict[str, str]) -> bool:
        agrees = all(payload[name] == value for name, value in self.right.items())
        return bool(self.right) and agrees and (not self.unlike or payload[self.unlike] != own[self.unlike])


def _rows(collection: CRLCollection, number: int, product: Product) -> list[dict[str, Any]]:
    """The searches for one query product, with their hits."""
    own = product.attributes()
    colour = _next_colour(product.colour)
    composed = {"criterion": "silhouette", "modifier": colour, "criterion_weight": 1.0, "oversample": 40}
    rows = [
        _Row("overall", {}, {}),
        *(_Row(name, {"criterion": name, "explain": True}, {name: own[name]}) for name in ATTRIBUTES),
        _Row(
            "silhouette, other colour",
            {"criterion": {"silhouette": 1.0, "colour": -1.0}},
            _some(own, "silhouette"),
            "colour",
        ),
        _Row("pattern and count", {"criterion": {"pattern": 1.0, "count": 1.0}}, _some(own, "pattern", "count")),
        _Row(f"silhouette + “{colour}”", composed, {**_some(own, "silhouette"), "colour": colour}),
    ]
    return [{"name": row.name, "figures": _figures(collection, number, row, own)} for row in rows]


def _figures(collection: CRLCollection, number: int, row: _Row, own: dict[str, str]) -> list[dict[str, Any]]:
    figures = []
    for hit in collection.search(like=number, limit=_HITS, **row.options):
        payload = hit.payload or {}
        words = [word for explanation in hit.explanation.values() for word in explanation.matched[:2]]
        figures.append(
            {
                "image": payload["image"],
                "caption": ", ".join(words) or payload["title"],
                "title": f"{payload['title']}, score {hit.score:.4f}",
                "match": row.is_right(payload, own),
            }
        )
    return figures


def _distinct(products: Sequence[Product]) -> list[int]:
    """The first products no two of which share a silhouette, colour or pattern."""
    chosen: list[int] = []
    for number, product in enumerate(products):
        if all(
            product.silhouette != products[other].silhouette
            and product.colour != products[other].colour
            and product.pattern != products[other].pattern
            for other in chosen
        ):
            chosen.append(number)
        if len(chosen) == _QUERIES:
            break
    return chosen


def _some(attributes: dict[str, str], *names: str) -> dict[str, str]:
    return {name: attributes[name] for name in names}


def _next_colour(colour: str) -> str:
    colours = list(ATTRIBUTES["colour"])
    return colours[(colours.index(colour) + 4) % len(colours)]


def _image(number: int) -> str:
    return f"images/{number:05d}.png"
