"""An asyncio back-end: one collection for all requests, searches at once, and the loop stays free.

    python examples/asyncio_backend.py

Needs `pip install crl-qdrant`. `similar` is what a route of your web framework calls. Open and close the collection
where the framework starts and stops.
"""

from __future__ import annotations

import asyncio

import numpy as np

from crl_qdrant import AsyncCRLCollection, Criterion


async def similar(products: AsyncCRLCollection, product: int, criterion: str) -> list[dict[str, object]]:
    """Answer one request, as JSON."""
    hits = await products.search(like=product, criterion=criterion, limit=3)
    return [{"id": hit.id, "score": round(hit.score, 3)} for hit in hits]


async def main() -> None:
    rng = np.random.default_rng(0)
    async with await AsyncCRLCollection.create("products", location=":memory:", dimension=64) as products:
        await products.add(ids=range(500), embeddings=rng.normal(size=(500, 64)))
        await products.define(Criterion("cut", ["slim", "wide", "straight"], embeddings=rng.normal(size=(3, 64))))
        await products.materialize("cut")
        answers = await asyncio.gather(*(similar(products, product, "cut") for product in range(20)))
        for product, answer in list(enumerate(answers))[:3]:
            print(product, answer)


if __name__ == "__main__":
    asyncio.run(main())
