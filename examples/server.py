"""A Qdrant server: one process writes, another one searches.

    QDRANT_URL=http://localhost:6333 python examples/server.py

Needs `pip install crl-qdrant` and a server of version 1.18 or newer (`docker compose up -d`); its key is read from
QDRANT_API_KEY. The collection is called crl-example and is deleted at the end.
"""

from __future__ import annotations

import os

import numpy as np
from qdrant_client import QdrantClient

from crl_qdrant import Criterion, CRLCollection

NAME = "crl-example"


def main() -> None:
    # a client of your own has your settings: gRPC, timeouts, keys
    client = QdrantClient(os.environ["QDRANT_URL"], api_key=os.environ.get("QDRANT_API_KEY"), timeout=60)
    client.delete_collection(NAME)
    rng = np.random.default_rng(0)
    try:
        with CRLCollection.create(NAME, location=client, dimension=64) as products:
            products.add(ids=range(500), embeddings=rng.normal(size=(500, 64)))
            products.define(Criterion("fabric", ["denim", "linen", "silk"], embeddings=rng.normal(size=(3, 64))))
            products.materialize("fabric")
        with CRLCollection.open(NAME, location=os.environ["QDRANT_URL"]) as products:  # as another process would
            for hit in products.search(like=1, criterion="fabric", limit=5):
                print(f"{hit.score:.3f}  product {hit.id}")
    finally:
        client.delete_collection(NAME)
        client.close()


if __name__ == "__main__":
    main()
