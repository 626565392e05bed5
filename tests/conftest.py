"""Fixtures: both kinds of store, and the real catalogue where it is."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import ColourEncoder, MakeCollection
from hypothesis import settings
from qdrant_client import QdrantClient

from crl_qdrant import Criterion, CRLCollection

FASHION = Path(__file__).resolve().parents[2] / "shared" / "data" / "fashion-catalog"


# the same examples in every run; pytest --hypothesis-profile=explore looks for others
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", max_examples=1000)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Listen to Ctrl-C also where a shell or a CI started the tests in the background, which ignores it.

    Programs that tests start inherit what is ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that need a server where none is named."""
    if os.environ.get("QDRANT_URL"):
        return
    for item in items:
        if item.get_closest_marker("server"):
            item.add_marker(pytest.mark.skip(reason="QDRANT_URL names no Qdrant server"))


@pytest.fixture
def encoder() -> ColourEncoder:
    return ColourEncoder()


@pytest.fixture(params=["edge", "client"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Somewhere to create a collection in and to open it again from."""
    if request.param == "edge":
        yield tmp_path / "data"
        return
    client = QdrantClient(":memory:")
    yield client
    client.close()


@pytest.fixture
def make_collection(location: Any) -> Iterator[MakeCollection]:
    """Create collections where `location` is, close them at the end."""
    made = list[CRLCollection]()

    def make(
        name: str = "products",
        *,
        embeddings: np.ndarray | None = None,
        payloads: Sequence[dict[str, Any]] | None = None,
        criteria: Sequence[Criterion] = (),
        **options: Any,
    ) -> CRLCollection:
        if embeddings is not None and "encoder" not in options:
            options["dimension"] = embeddings.shape[1]
        products = CRLCollection.create(name, location=location, **options)
        made.append(products)
        if embeddings is not None:
            products.add(range(len(embeddings)), embeddings=embeddings, payloads=payloads)
        for criterion in criteria:
            products.define(criterion)
        return products

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def fashion() -> dict[str, Any]:
    """The real catalogue: ids, embeddings, labels, and words with their embeddings."""
    if not FASHION.is_dir():
        pytest.skip(f"the real catalogue is not at {FASHION}")
    import polars as pl

    table = pl.read_csv(FASHION / "catalog.csv", infer_schema_length=None)
    return {
        "directory": FASHION,
        "ids": json.loads((FASHION / "ids.json").read_text()),
        "embeddings": np.load(FASHION / "embeddings.npy"),
        "table": table,
        "words": json.loads((FASHION / "criterion_words.json").read_text()),
        "texts": dict(np.load(FASHION / "criterion_embeddings.npz")),
    }


@pytest.fixture(scope="session")
def demo_shop() -> dict[str, Any]:
    """600 products of the demo, embedded: embeddings, attributes, and the demo's criteria with embeddings."""
    from crl_qdrant.demo.products import sample_products
    from crl_qdrant.demo.render import render
    from crl_qdrant.demo.run import CRITERIA
    from crl_qdrant.encoders import load_encoder

    encoder = load_encoder("demo", device="cpu")
    products = sample_products(600, seed=77)
    return {
        "embeddings": encoder.encode_images([render(product, size=64) for product in products]),
        "payloads": [product.attributes() for product in products],
        "criteria": {each.name: each.with_embeddings(encoder.encode_texts(each.texts)) for each in CRITERIA},
    }
