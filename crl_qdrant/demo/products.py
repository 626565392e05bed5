"""The demo's products: four attributes, their values, and captions that mention them.

Each value has several phrasings. Captions drop attributes at random, as shop captions do: a model
that always reads all four learns one entangled direction and no conditional representation.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

__all__ = ["ATTRIBUTES", "Product", "caption", "sample_products"]

# attribute -> value -> phrasings; the first phrasing is the value's own name
ATTRIBUTES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "silhouette": {
        "t-shirt": ("t-shirt", "tee", "short-sleeved top"),
        "dress": ("dress", "gown", "frock"),
        "trousers": ("trousers", "pants", "slacks"),
        "hat": ("hat", "fedora", "brimmed hat"),
        "boot": ("boot", "wellington", "high boot"),
        "handbag": ("handbag", "purse", "tote bag"),
        "mug": ("mug", "cup", "coffee mug"),
        "umbrella": ("umbrella", "parasol", "brolly"),
        "chair": ("chair", "seat", "dining chair"),
        "lamp": ("lamp", "table lamp", "desk light"),
    },
    "colour": {
        "red": ("red", "crimson", "scarlet"),
        "orange": ("orange", "tangerine", "apricot"),
        "yellow": ("yellow", "lemon", "canary"),
        "green": ("green", "emerald", "forest green"),
        "blue": ("blue", "cobalt", "navy"),
        "purple": ("purple", "violet", "plum"),
        "pink": ("pink", "rose", "fuchsia"),
        "brown": ("brown", "chocolate", "chestnut"),
        "black": ("black", "jet black", "ebony"),
        "white": ("white", "ivory", "snow white"),
    },
    "pattern": {
        "plain": ("plain", "solid", "unpatterned"),
        "striped": ("striped", "stripy", "pinstripe"),
        "checked": ("checked", "gingham", "plaid"),
        "dotted": ("dotted", "polka dot", "spotted"),
        "zigzag": ("zigzag", "chevron", "herringbone"),
        "floral": ("floral", "flowery", "blossom print"),
        "ombre": ("ombre", "gradient", "dip-dyed"),
        "camouflage": ("camouflage", "camo", "army print"),
    },
    "count": {
        "one": ("one", "a single", "a lone"),
        "two": ("two", "a pair of", "a couple of"),
        "three": ("three", "a trio of", "a set of three"),
        "four": ("four", "a quartet of", "a set of four"),
    },
}

_OPENINGS: Final = ("", "a photo of ", "a picture of ", "product shot: ", "for sale: ", "catalogue photo of ")
_THINGS: Final = ("item", "product", "thing", "article")
_ENDINGS: Final = ("", "", " on a pale backdrop", " in a shop", " for everyday use", ", new")


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the demo catalogue; `seed` fixes everything about its image that is not an attribute."""

    silhouette: str
    colour: str
    pattern: str
    count: str
    seed: int

    @property
    def title(self) -> str:
        """The title that a shop would give it."""
        return f"{self.count} {self.colour} {self.pattern} {self.silhouette}"

    def attributes(self) -> dict[str, str]:
        """The four attributes by name, as the catalogue's payload has them."""
        return {name: getattr(self, name) for name in ATTRIBUTES}


def sample_products(number: int, *, seed: int) -> list[Product]:
    """`number` products with every attribute drawn uniformly and independently; the same for the same seed."""
    rng = random.Random(seed)
    values = {name: list(phrasings) for name, phrasings in ATTRIBUTES.items()}
    return [
        Product(**{name: rng.choice(options) for name, options in values.items()}, seed=rng.getrandbits(32))
        for _ in range(number)
    ]


def caption(product: Product, rng: random.Random, *, keep: float = 0.65) -> tuple[str, frozenset[str]]:
    """A caption in one of several wordings, and the names of the attributes that it mentions.

    Args:
        product: the product to describe.
        rng: source of the wording and of the attributes that are left out.
        keep: probability in [0, 1] that an attribute is mentioned; at least one always is.
    """
    spoken = {name for name in ATTRIBUTES if rng.random() < keep} or {rng.choice(list(ATTRIBUTES))}
    phrase = {name: rng.choice(ATTRIBUTES[name][getattr(product, name)]) for name in spoken}
    noun = phrase.get("silhouette") or rng.choice(_THINGS)
    count, colour, pattern = (phrase.get(name, "") for name in ("count", "colour", "pattern"))
    wording = rng.randrange(4)
    if wording == 0:
        text = f"{count} {colour} {pattern} {noun}"
    elif wording == 1:
        text = f"{count} {pattern} {colour} {noun}"
    elif wording == 2:
        text = f"{count} {noun}" + (f" in {colour}" if colour else "") + (f", {pattern}" if pattern else "")
    else:
        parts = [f"{noun}", colour, pattern, f"{count} of them" if count == product.count else count]
        rng.shuffle(parts)
        text = ", ".join(part for part in parts if part)
    words = f"{rng.choice(_OPENINGS)}{text}{rng.choice(_ENDINGS)}"
    return " ".join(words.split()), frozenset(spoken)
