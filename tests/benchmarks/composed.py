"""Composed search on the real catalogue, "the same A, but another articleType", by the weight of the criterion.

    python tests/benchmarks/composed.py

The words of the article types are a real text tower's; the words of the criteria that keep A were fitted to other
photos' labels. Prints Markdown tables of mAP and precision of the first ten x 100 with standard errors.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from crl_qdrant import Criterion, CRLCollection

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SAME = ("baseColour", "gender", "usage", "season")
WEIGHTS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)


def main() -> None:
    fashion, text = DATA / "fashion-catalog", DATA / "clip-text"
    if not text.is_dir():
        print(f"The real catalogue and its words are not at {DATA}.")
        return
    with (fashion / "catalog.csv").open(encoding="utf-8") as file:
        rows = {int(row["id"]): row for row in csv.DictReader(file)}
    ids = json.loads((fashion / "ids.json").read_text())
    words = json.loads((fashion / "criterion_words.json").read_text())
    fitted = np.load(fashion / "criterion_embeddings.npz")
    names, texts = json.loads((text / "lvis.json").read_text())["names"], np.load(text / "lvis.npy")
    types = json.loads((text / "article_types.json").read_text())
    with CRLCollection.create("products", location=":memory:", dimension=512) as products:
        products.add(ids, embeddings=np.load(fashion / "embeddings.npy"), payloads=[rows[each] for each in ids])
        for name in SAME:
            products.define(Criterion(name, words[name], embeddings=fitted[name]))
        for name in SAME:
            found = products.measure_composed(
                name,
                "articleType",
                embeddings={kind: texts[names.index(word)] for kind, word in types.items()},
                weights=WEIGHTS,
            )
            print(
                f"{name}: {found.queries} queries, {found.relevant:.1f} relevant; recommended {found.recommended:g}\n"
            )
            print("| search | mAP | precision@10 | beside the text |\n|---|---|---|---|")
            for way in found.ways:
                print(
                    f"| {way.name} | {100 * way.precision:.1f} ± {100 * way.error:.1f} "
                    f"| {100 * way.first_ten:.1f} ± {100 * way.first_ten_error:.1f} "
                    f"| {100 * way.gain:+.1f} ± {100 * way.gain_error:.1f} |"
                )
            print()


if __name__ == "__main__":
    main()
