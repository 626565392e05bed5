"""Your own embeddings: no encoder, no torch, nothing to download.

    python examples/own_embeddings.py

Needs `pip install crl-qdrant`. Here the embeddings are random. Yours come from your model, the same one
for images and words.
"""

from __future__ import annotations

import numpy as np

from crl_qdrant import Criterion, CRLCollection


def main() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(1000, 128))  # [N, d], any length: they are normalised when stored
    words = rng.normal(size=(3, 128))  # [K, d], one row a word
    with CRLCollection.create("shoes", location="./shoes-data", encoder=None, dimension=128) as shoes:
        shoes.add(ids=range(1000), embeddings=images)
        shoes.define(Criterion("heel", ["flat", "block heel", "stiletto"], embeddings=words))
        scanned = shoes.search(embedding=images[0], criterion="heel", limit=3)
        shoes.materialize("heel")
        named = shoes.search(embedding=images[0], criterion="heel", limit=3)
        for before, after in zip(scanned, named, strict=True):
            print(f"product {after.id}: {before.score:.3f} by {scanned.plan.strategy}, {after.score:.3f} by its vector")
    with CRLCollection.open("shoes", location="./shoes-data") as shoes:  # the criterion is stored beside the points
        print(f"{shoes.count()} products, alike in heel to product 7:")
        print([hit.id for hit in shoes.search(like=7, criterion="heel", limit=5)])


if __name__ == "__main__":
    main()
