"""Variants of a criterion measured by finding items of the same label, on real photos and on the demo.

    python tests/benchmarks/ablation.py [real fitted demo]

Prints Markdown tables of leave-one-out mAP x 100: real photos with the words of a real text tower first, then with
words that were fitted to labels, then the demo. What is not present is left out.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crl_qdrant import Ablation, Criterion, CRLCollection, Item, packaged_words
from crl_qdrant.analysis.ablation import titles
from crl_qdrant.demo.products import sample_products
from crl_qdrant.demo.render import render
from crl_qdrant.demo.run import CRITERIA

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FASHION, WORDS = DATA / "fashion-catalog", DATA / "clip-text"
SEED = 2025


def ablations(products: CRLCollection, criteria: Sequence[Criterion]) -> dict[str, Ablation]:
    """By criterion; each is measured on the payload field of its own name, with all criteria defined."""
    for criterion in criteria:
        products.define(criterion)
    number = products.count()
    return {each.name: products.ablate(each.name, each.name, sample=number) for each in criteria}


def packaged() -> list[Criterion]:
    """The demo's criteria with packaged lists of 96 to 182 words, most of which its encoder has never read."""
    lists = {"silhouette": "product_category"}  # what the demo calls a silhouette is a kind of product
    return [
        Criterion(each.name, packaged_words(lists.get(each.name, each.name)) or (), prompt=each.prompt)
        for each in CRITERIA
    ]


def demo(number: int) -> list[dict[str, Ablation]]:
    """Rendered products, those of `make demo`, and the demo's encoder: with its own words, and with packaged ones."""
    items = (
        Item(at, image=render(product), payload=product.attributes())
        for at, product in enumerate(sample_products(number, seed=SEED))
    )
    with CRLCollection.create("products", location=":memory:", encoder="demo") as products:
        products.ingest(items, total=number)
        return [ablations(products, criteria) for criteria in (CRITERIA, packaged())]


def photos() -> CRLCollection:
    """Real photos with CLIP ViT-B/32 embeddings, and the shop's own attributes as labels."""
    with (FASHION / "catalog.csv").open(encoding="utf-8") as file:
        payloads = {int(row["id"]): {key: value or None for key, value in row.items()} for row in csv.DictReader(file)}
    ids = json.loads((FASHION / "ids.json").read_text())
    products = CRLCollection.create("products", location=":memory:", dimension=512)
    products.add(ids, embeddings=np.load(FASHION / "embeddings.npy"), payloads=[payloads[each] for each in ids])
    return products


def real() -> dict[str, Ablation]:
    """By the words of a real text tower: names of garments and accessories, and of objects of every kind."""
    names, texts = json.loads((WORDS / "lvis.json").read_text()), np.load(WORDS / "lvis.npy")
    every: list[str] = names["names"]
    found = {}
    for title, words in {"123": names["garments_and_accessories"], "1203": every}.items():
        with photos() as products:
            products.define(Criterion("type", words, embeddings=texts[[every.index(word) for word in words]]))
            for labels in ("articleType", "subCategory"):
                found[f"{title} {labels}"] = products.ablate("type", labels, sample=1000)
    return found


def fitted() -> dict[str, Ablation]:
    """By word vectors that were fitted to other photos' attributes."""
    words = json.loads((FASHION / "criterion_words.json").read_text())
    texts = np.load(FASHION / "criterion_embeddings.npz")
    with photos() as products:
        return ablations(products, [Criterion(name, words[name], embeddings=texts[name]) for name in words])


def cells(found: Mapping[str, Ablation], title: str) -> list[float]:
    """A variant's mAP for each criterion, and their mean; NaN where it could not be."""
    precisions = [
        next((each.precision for each in ablation.variants if each.name == title), np.nan)
        for ablation in found.values()
    ]
    return [*precisions, float(np.mean(precisions))]


def print_table(found: Mapping[str, Ablation]) -> None:
    columns = [*found, "mean"]
    print("| variant | " + " | ".join(columns) + " |\n|" + "---|" * (1 + len(columns)))
    for title in titles():
        print(
            f"| {title} | "
            + " | ".join("-" if np.isnan(value) else f"{100 * value:.1f}" for value in cells(found, title))
            + " |"
        )
    print()
    for name, ablation in found.items():
        default = next(each for each in ablation.variants if each.name == ablation.reference)
        paper = next(each for each in ablation.variants if each.name == "paper")
        best = ablation.recommended
        print(
            f"- {name}: default {100 * default.precision:.1f}, beside it paper {100 * paper.gain:+.1f} "
            f"± {100 * paper.error:.1f}; recommended: {best.name} {100 * best.gain:+.1f} ± {100 * best.error:.1f}"
        )
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["real", "fitted", "demo"], help="which tables; none: all")
    parser.add_argument("--products", type=int, default=2000, help="how many demo products")
    arguments = parser.parse_args()
    parts = arguments.parts or ["real", "fitted", "demo"]
    if "real" in parts and WORDS.is_dir():
        print("Real photos, words of a real text tower:\n")
        print_table(real())
    if "fitted" in parts and FASHION.is_dir():
        print("Real photos, words that were fitted to labels:\n")
        print_table(fitted())
    if "demo" in parts:
        own, lists = demo(arguments.products)
        print(f"Demo catalogue, {arguments.products} products, words that its encoder knows:\n")
        print_table(own)
        print("The same with packaged lists of words:\n")
        print_table(lists)
    if not WORDS.is_dir():
        print(f"The real catalogue and its words are not at {DATA}.")


if __name__ == "__main__":
    main()
