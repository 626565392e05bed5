"""Composed search on the real catalogue: "the same colour, but a {type}", by the weight of the criterion.

    python tests/benchmarks/composed.py CATALOGUE CLIP_TEXT

CATALOGUE holds embeddings.npy, ids.json, catalog.csv and criterion_embeddings.npz; CLIP_TEXT holds lvis.npy, lvis.json
and article_types.json (real text embeddings of type names). 250 items are drawn with a fixed seed, each with a type
that is not its own and exists in its colour. Right are the items of that type and colour; the query is left out.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from crl_qdrant import Criterion, CRLCollection

Embeddings = npt.NDArray[np.float32]


class Table:
    """An encoder that reads a type's text embedding from a table."""

    name = "table"

    def __init__(self, texts: dict[str, Embeddings]) -> None:
        self._texts = texts
        self.dimension = len(next(iter(texts.values())))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        return np.stack([self._texts[text] for text in texts])

    def encode_images(self, images: Sequence[Image.Image]) -> Embeddings:
        raise NotImplementedError


def draw(colours: list[str], types: list[str], known: list[str], number: int = 250) -> list[tuple[int, str]]:
    """Items, and for each a type that is not its own and exists in its colour."""
    rng = np.random.default_rng(0)
    there = set(zip(colours, types, strict=True))
    drawn: list[tuple[int, str]] = []
    for item in rng.permutation(len(colours)):
        can = [each for each in known if each != types[item] and (colours[item], each) in there]
        if colours[item] and can:
            drawn.append((int(item), can[rng.integers(len(can))]))
        if len(drawn) == number:
            break
    return drawn


def measure(products: CRLCollection, ids: list[int], draws: list[tuple[int, str]], right: Any, **options: Any) -> str:
    """Mean average precision and precision at 10, in per cent."""
    precisions, firsts = [], []
    for item, kind in draws:
        hits = products.search(like=ids[item], modifier=kind, limit=len(ids), with_payload=False, **options)
        good = np.array([right(item, kind, int(hit.id)) for hit in hits])
        ranks = np.flatnonzero(good) + 1
        precisions.append((np.arange(1, len(ranks) + 1) / ranks).mean())
        firsts.append(good[:10].mean())
    error = 100 * np.std(precisions, ddof=1) / len(precisions) ** 0.5
    return f"{100 * np.mean(precisions):5.1f} ± {error:.1f} | {100 * np.mean(firsts):5.1f}"


def main(catalogue: Path, clip_text: Path) -> None:
    ids = [int(each) for each in json.loads((catalogue / "ids.json").read_text())]
    with (catalogue / "catalog.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["id"]): row for row in csv.DictReader(file)}
    colours, types = ([rows[each][field] for each in ids] for field in ("baseColour", "articleType"))
    names = json.loads((clip_text / "lvis.json").read_text())["names"]
    place = {name: at for at, name in enumerate(names)}
    embeddings = np.load(clip_text / "lvis.npy").astype(np.float32)
    known = json.loads((clip_text / "article_types.json").read_text())
    texts = {kind: embeddings[place[name]] for kind, name in known.items()}
    fitted = np.load(catalogue / "criterion_embeddings.npz")["baseColour"]
    draws = draw(colours, types, list(known))

    def right(item: int, kind: str, hit: int) -> bool:
        return rows[hit]["baseColour"] == colours[item] and rows[hit]["articleType"] == kind

    with CRLCollection.create("products", location=":memory:", encoder=Table(texts)) as products:
        products.add(ids, embeddings=np.load(catalogue / "embeddings.npy"))
        words = [f"colour {n}" for n in range(len(fitted))]
        products.define(Criterion("colour", words, embeddings=fitted))
        products.define(Criterion("paper", words, embeddings=fitted, preset="paper"))
        ways: dict[str, dict[str, Any]] = {
            "text alone": {"criterion": "colour", "criterion_weight": 0.0},
            "overall, w = 0.5": {"criterion_weight": 0.5},
            'preset and scoring "paper", w = 10': {"criterion": "paper", "scoring": "paper", "oversample": 100},
        }
        ways |= {
            f"w = {w}": {"criterion": "colour", "criterion_weight": w} for w in (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)
        }
        for name, options in ways.items():
            print(f"| {name} | {measure(products, ids, draws, right, **options)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
