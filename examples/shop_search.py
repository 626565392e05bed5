"""A shop's image search with filters: alike in one respect, of one brand, in stock, each model once.

    python examples/shop_search.py

Needs `pip install "crl-qdrant[open-clip]"`. The pictures are rendered, and the demo's encoder knows only such pictures;
for your own, write encoder="open_clip:ViT-B-32/laion2b_s34b_b79k".
"""

from __future__ import annotations

from qdrant_client import models

from crl_qdrant import CRLCollection
from crl_qdrant.demo.products import sample_products
from crl_qdrant.demo.render import render


def main() -> None:
    shown = sample_products(40, seed=3)
    payloads = [
        {"title": f"{each.colour} {each.silhouette}", "brand": ("Acme", "Bolt")[n % 2], "stock": n % 3, "model": n // 2}
        for n, each in enumerate(shown)
    ]
    with CRLCollection.create("shop", location="./shop-data", encoder="demo") as products:
        report = products.add(ids=range(40), images=[render(each) for each in shown], payloads=payloads)
        print(f"{report.written} stored, {len(report.rejected)} rejected")

        products.define("colour", words=["red", "blue", "green", "black", "white", "yellow", "pink", "brown"])
        products.materialize("colour")  # a named vector for a criterion that customers use all day

        in_stock = models.Filter(
            must=[
                models.FieldCondition(key="brand", match=models.MatchValue(value="Acme")),
                models.FieldCondition(key="stock", range=models.Range(gte=1)),
            ]
        )
        hits = products.search(
            render(shown[0]), criterion="colour", query_filter=in_stock, group_by="model", limit=5, explain=True
        )
        print(f"alike in colour to a {payloads[0]['title']}:")
        for hit in hits:
            words = ", ".join(hit.explanation["colour"].matched)
            print(f"  {hit.score:.3f}  {payloads[int(hit.id)]['title']:<24} because of: {words}")


if __name__ == "__main__":
    main()
