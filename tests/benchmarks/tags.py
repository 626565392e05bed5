"""Precision of tags, word by word, on the real catalogue: before the score was calibrated, and now.

    python tests/benchmarks/tags.py

A tag is right if the item's articleType is one that the word names (the 19 words of article_types.json). The word
embeddings are a real text tower's. Prints, over the words with at least 20 tagged items, the spread of their precision.
Before: by version 0.1's default, tagged where the item exceeds the average item in the word by 0.5. Now: by today's
default, tagged where the score is 0.5 or more.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crl_qdrant import Criterion, CRLCollection

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BAR = 0.5


def tagged(products: CRLCollection, *, calibrated: bool) -> dict[int, str]:
    """The tags of all items that reach the bar, by id."""
    ids = [int(point) for point in products.representations()[0]]
    if calibrated:
        products.tag("type", min_score=BAR, progress=False)
        payloads = {hit.id: hit.payload or {} for hit in products.search(like=ids[0], limit=len(ids))}
        payloads |= {hit.id: hit.payload or {} for hit in products.search(like=ids[1], limit=len(ids))}
        every = {int(point): payload.get("crl", {}).get("type") for point, payload in payloads.items()}
        return {point: word for point, word in every.items() if word is not None}
    described = {point: products.describe(like=point, criterion="type", limit=1)[0] for point in ids}
    return {point: word for point, (word, more) in described.items() if more >= BAR}


def report(tags: dict[int, str], meant: dict[str, set[str]], types: dict[int, str], name: str) -> None:
    right: dict[str, list[bool]] = {}
    for point, word in tags.items():
        if word in meant:
            right.setdefault(word, []).append(types[point] in meant[word])
    every = [each for values in right.values() for each in values]
    cells = [f"{len(tags) / len(types):.2f}", f"{np.mean(every):.2f}"]
    for fewest in (20, 8):
        precisions: npt.NDArray[Any] = np.array([np.mean(each) for each in right.values() if len(each) >= fewest])
        cells.append(f"{precisions.std():.3f} of {len(precisions)}" if len(precisions) else "-")
    print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    fashion, text = DATA / "fashion-catalog", DATA / "clip-text"
    if not text.is_dir():
        print(f"The real catalogue and its words are not at {DATA}.")
        return
    with (fashion / "catalog.csv").open(encoding="utf-8") as file:
        types = {int(row["id"]): row["articleType"] for row in csv.DictReader(file)}
    ids = json.loads((fashion / "ids.json").read_text())
    types = {each: types[each] for each in ids}
    names = json.loads((text / "lvis.json").read_text())
    every, texts = names["names"], np.load(text / "lvis.npy")
    meant: dict[str, set[str]] = {}
    for kind, word in json.loads((text / "article_types.json").read_text()).items():
        meant.setdefault(word, set()).add(kind)
    lists = {"19 words": list(meant), "123 garments": names["garments_and_accessories"], "1,203 names": every}
    print("| words | tagged | precision | spread, words with 20 items | with 8 |\n|---|---|---|---|---|")
    for title, words in lists.items():
        with CRLCollection.create("products", location=":memory:", dimension=512) as products:
            products.add(ids, embeddings=np.load(fashion / "embeddings.npy"))
            criterion = Criterion("type", words, embeddings=texts[[every.index(word) for word in words]])
            products.define(criterion.with_options("default-0.1"))
            report(tagged(products, calibrated=False), meant, types, f"{title}, before")
            products.define(criterion)
            report(tagged(products, calibrated=True), meant, types, f"{title}, now")


if __name__ == "__main__":
    main()
