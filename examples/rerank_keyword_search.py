"""A keyword search whose results are put in the order of a criterion.

    python examples/rerank_keyword_search.py

Needs `pip install "crl-qdrant[open-clip]"`. Your search engine stays as it is: it finds the candidates, and one call
orders them by how much they look like a picture in one respect.
"""

from __future__ import annotations

from crl_qdrant import CRLCollection
from crl_qdrant.demo.products import sample_products
from crl_qdrant.demo.render import render

PRODUCTS = sample_products(60, seed=5)
TITLES = {n: f"{each.pattern} {each.silhouette}" for n, each in enumerate(PRODUCTS)}


def keyword_search(words: str) -> list[int]:
    """Find the products whose title has all words: this is what your search engine does."""
    return [n for n, title in TITLES.items() if all(word in title for word in words.split())]


def main() -> None:
    with CRLCollection.create("shop", location=":memory:", encoder="demo") as products:
        products.add(ids=range(60), images=[render(each) for each in PRODUCTS])
        products.define("colour", words=["red", "blue", "green", "black", "white", "yellow", "pink", "brown"])
        liked = PRODUCTS[7]
        found = keyword_search(PRODUCTS[8].silhouette)
        print(f"{len(found)} products match; in the order of their colour, beside a {liked.colour} product:")
        for hit in products.rerank(render(liked), found, criterion="colour", limit=5):
            print(f"  {hit.score:.3f}  {PRODUCTS[int(hit.id)].colour} {TITLES[int(hit.id)]}")


if __name__ == "__main__":
    main()
