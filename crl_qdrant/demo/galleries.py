"""Queries with galleries in GeneCIS' form, made from the demo's products, whose attributes are known."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from crl_qdrant.demo.products import ATTRIBUTES, Product
from crl_qdrant.evaluation.similarity import GalleryQuery

__all__ = ["GALLERY", "change_queries", "focus_queries"]

GALLERY: Final = 14
"""Wrong answers in each gallery, as in GeneCIS; with the target that is 15 candidates."""

_DRAWS: Final = 200  # for each query asked for; a catalogue of a hundred products fills nearly every draw


def focus_queries(products: Sequence[Product], criterion: str, *, number: int, seed: int) -> list[GalleryQuery]:
    """Focus on a criterion: the target alone has the reference's value of it. The condition is the criterion's name.

    Every wrong answer is like the reference in something else, so that overall similarity has a reason to prefer it.
    """

    def query(reference: int, rng: random.Random) -> GalleryQuery | None:
        own = products[reference].attributes()
        alike = [row for row in range(len(products)) if row != reference and _has(products[row], criterion, own)]
        others = [
            row
            for row, product in enumerate(products)
            if not _has(product, criterion, own) and any(_has(product, name, own) for name in ATTRIBUTES)
        ]
        if not alike or len(others) < GALLERY:
            return None
        return GalleryQuery(criterion, reference, rng.choice(alike), tuple(rng.sample(others, GALLERY)))

    return _queries(query, len(products), number, seed)


def change_queries(
    products: Sequence[Product], kept: str, changed: str, *, number: int, seed: int
) -> list[GalleryQuery]:
    """Change one attribute: the target has the reference's value of `kept`, and of `changed` that of the condition.

    Half of the wrong answers have only the one, half only the other, so neither image nor text is enough.
    """

    def query(reference: int, rng: random.Random) -> GalleryQuery | None:
        own = products[reference].attributes()
        value = rng.choice([each for each in ATTRIBUTES[changed] if each != own[changed]])
        wanted = own | {changed: value}
        rows = [row for row in range(len(products)) if row != reference]
        same = {row for row in rows if _has(products[row], kept, wanted)}
        new = {row for row in rows if _has(products[row], changed, wanted)}
        targets, only_same, only_new = (sorted(each) for each in (same & new, same - new, new - same))
        if not targets or min(len(only_same), len(only_new)) < GALLERY // 2:
            return None
        wrong = rng.sample(only_same, GALLERY // 2) + rng.sample(only_new, GALLERY // 2)
        return GalleryQuery(value, reference, rng.choice(targets), tuple(wrong))

    return _queries(query, len(products), number, seed)


def _queries(
    query: Callable[[int, random.Random], GalleryQuery | None], products: int, number: int, seed: int
) -> list[GalleryQuery]:
    """Queries from random references; fewer than asked for where the catalogue is too small for most of them."""
    rng = random.Random(seed)
    draws = (query(rng.randrange(products), rng) for _ in range(number * _DRAWS))
    found = (each for each in draws if each is not None)
    return [each for each, _ in zip(found, range(number), strict=False)]


def _has(product: Product, name: str, wanted: dict[str, str]) -> bool:
    return bool(getattr(product, name) == wanted[name])
