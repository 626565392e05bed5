"""How well each variant of a criterion finds items of the same label, on the demo catalogue and on the real one.

    python tests/benchmarks/ablation.py

Prints Markdown tables of leave-one-out mAP x 100. The real catalogue is left out where it is not present.
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

FASHION = Path(__file__).resolve().parents[3] / "shared" / "data" / "fashion-catalog"
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


def fashion() -> dict[str, Ablation]:
    """Real photos: CLIP ViT-B/32 embeddings, and word vectors that were fitted to other photos' attributes."""
    with (FASHION / "catalog.csv").open(encoding="utf-8") as file:
        payloads = {int(row["id"]): {key: value or None for key, value in row.items()} for row in csv.DictReader(file)}
    ids = json.loads((FASHION / "ids.json").read_text())
    words = json.loads((FASHION / "criterion_words.json").read_text())
    texts = np.load(FASHION / "criterion_embeddings.npz")
    with CRLCollection.create("products", location=":memory:", dimension=512) as products:
        products.add(ids, embeddings=np.load(FASHION / "embeddings.npy"), payloads=[payloads[each] for each in ids])
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
        print(f"| {title} | " + " | ".join(f"{100 * value:.1f}" for value in cells(found, title)) + " |")
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
    parser.add_argument("--products", type=int, default=2000, help="how many demo products")
    arguments = parser.parse_args()
    own, lists = demo(arguments.products)
    print(f"Demo catalogue, {arguments.products} products, words that its encoder knows:\n")
    print_table(own)
    print("The same with packaged lists of words:\n")
    print_table(lists)
    if FASHION.is_dir():
        print("Fashion catalogue, 1000 photos:\n")
        print_table(fashion())
    else:
        print(f"The fashion catalogue is not at {FASHION}.")


if __name__ == "__main__":
    main()
