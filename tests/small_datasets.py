"""The paper's data sets in small: rendered pictures in exactly the layouts and file formats of the real ones."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import product as every
from pathlib import Path
from typing import Any, Final

from crl_qdrant.demo.products import ATTRIBUTES, Product, sample_products
from crl_qdrant.demo.render import render

SHAPES: Final = dict(
    zip(
        ATTRIBUTES["silhouette"],
        ["cube", "sphere", "monkey", "cone", "torus", "star", "teapot", "diamond", "gear", "cylinder"],
        strict=True,
    )
)
TEXTURES: Final = dict(
    zip(
        ATTRIBUTES["pattern"],
        ["rubber", "metal", "checkered", "emojis", "wave", "brick", "star", "circles"],
        strict=True,
    )
)
COUNTS: Final = {"one": 1, "two": 2, "three": 3, "four": 4}
# the colours that Clevr4 has too
COLOURS: Final = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"]


def draw(path: Path, product: Product, size: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    render(product, size=size).save(path)


def make_clevr4(root: Path, number: int = 48) -> Path:
    """Clevr4-10k's layout; colours in turn, so that every one has as many images."""
    annotations = {}
    for row, product in enumerate(sample_products(number, seed=1)):
        shown = replace(product, colour=COLOURS[row % len(COLOURS)])
        draw(root / "clevr_4_10k_v1" / "images" / f"CLEVR_new_{row:06d}.png", shown)
        annotations[f"CLEVR_new_{row:06d}"] = {
            "texture": TEXTURES[shown.pattern],
            "shape": SHAPES[shown.silhouette],
            "color": shown.colour,
            "count": COUNTS[shown.count],
            "split": "val" if row % 5 == 0 else "train",
        }
    (root / "clevr_4_10k_v1" / "clevr_4_annots.json").write_text(json.dumps(annotations))
    return root


def make_cards(root: Path, *, unique_names: bool = True, each: int = 2) -> Path:
    """Cards' two folders: the number is a count, the suit a colour; the two list the pictures in another order."""
    numbers = dict(zip(["ace", "two", "three", "four"], ATTRIBUTES["count"], strict=True))
    suits = dict(zip(["clubs", "diamonds", "hearts", "spades"], ["black", "orange", "red", "blue"], strict=True))
    pairs = [pair for pair in every(numbers, suits) for _ in range(each)]
    for row, (number, suit) in enumerate(pairs):
        card = Product("mug", suits[suit], "plain", numbers[number], seed=row)
        names = [f"{row:03d}.jpg"] * 2 if unique_names else [f"{row % 8:03d}.jpg", f"{row // 4:03d}_{row % 2}.jpg"]
        draw(root / "cards" / "number" / number / names[0], card)
        draw(root / "cards" / "suits" / suit / names[1], card)
    return root


def make_deepfashion(root: Path, *, candidates: int = 30, queries: int = 10, train: int = 0) -> Path:
    """ASEN's index files: texture is the pattern, fabric the count, shape the silhouette, part none, style the colour.

    Queries come first in the list of files and candidates in reverse, so an entry's line number is not its id. With
    images to train on there is a validation split too, as large as the test split.
    """
    folder = root / "DeepFashion"
    for split, seed in (("test", 2), ("valid", 11)) if train else (("test", 2),):
        labels = _draw_deepfashion(folder, split, candidates + queries, seed)
        listed = [[f"{row} {pair}" for pair in pairs] for row, pairs in enumerate(labels)]
        for kind, part in (("query", listed[:queries]), ("candidate", listed[: queries - 1 : -1])):
            (folder / f"{kind}_{split}.txt").write_text("".join(f"{line}\n" for lines in part for line in lines))
    if train:
        labels = _draw_deepfashion(folder, "train", train, 12)
        lines = (f"{row} {' '.join(pairs)}\n" for row, pairs in enumerate(labels))
        (folder / "label_train.txt").write_text("".join(lines))
    return root


def _draw_deepfashion(folder: Path, split: str, number: int, seed: int) -> list[list[str]]:
    """Draw and list a split's images; the "attribute value" pairs of each."""
    shown = {0: "pattern", 1: "count", 2: "silhouette", 4: "colour"}
    names, labels = [], []
    for row, product in enumerate(sample_products(number, seed=seed)):
        names.append(f"img/{split}_{row % 3}/img_{row:08d}.jpg")
        draw(folder / names[-1], product)
        own = product.attributes()
        labels.append([f"{attribute} {list(ATTRIBUTES[name]).index(own[name])}" for attribute, name in shown.items()])
    (folder / f"filenames_{split}.txt").write_text("\n".join(names) + "\n")
    return labels


def make_genecis(root: Path, *, images: int = 40, queries: int = 8, gallery: int = 14) -> Path:
    """GeneCIS' object halves over images with COCO's file names; an id is 100 and the image's number."""
    products = sample_products(images, seed=3)
    for row, product in enumerate(products):
        draw(root / "val2017" / f"{100 + row:012d}.jpg", product)
    (root / "genecis").mkdir()
    rng = random.Random(4)
    for half in ("focus", "change"):
        entries: list[dict[str, Any]] = []
        while len(entries) < queries:
            reference, target, *others = rng.sample(range(images), gallery + 2)
            entries.append(
                {
                    "condition": products[target].silhouette,
                    "reference": {"val_image_id": 100 + reference},
                    "target": {"val_image_id": 100 + target},
                    "gallery": [{"val_image_id": 100 + each} for each in others],
                }
            )
        (root / "genecis" / f"{half}_object.json").write_text(json.dumps(entries))
    return root


def make_words(path: Path, *criteria: str) -> Path:
    """A words file: the demo's words by the names that a data set gives its criteria."""
    said = {"texture": "pattern", "shape": "silhouette", "color": "colour", "number": "count", "suits": "colour"}
    said |= {"scene": "silhouette", "fabric": "count", "style": "colour", "count": "count"}
    words = {name: [word for phrasings in ATTRIBUTES[said[name]].values() for word in phrasings] for name in criteria}
    path.write_text(json.dumps(words))
    return path
