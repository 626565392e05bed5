"""Whole numbers that no engine, array or loop can take: an InputError that names the argument, before any work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import models, QdrantClient

from crl_qdrant import Criterion, CRLCollection, InputError

ROWS = np.random.default_rng(0).normal(size=(20, 4))
Call = Callable[[CRLCollection, int], object]
CALLS: dict[str, tuple[str, Call]] = {
    "limit": ("limit", lambda products, number: products.search(embedding=ROWS[0], limit=number)),
    "limit by criterion": (
        "limit",
        lambda products, number: products.search(embedding=ROWS[0], criterion="kind", limit=number),
    ),
    "limit of groups": ("limit", lambda products, n: products.search(embedding=ROWS[0], limit=n, group_by="kind")),
    "offset": ("offset", lambda products, number: products.search(embedding=ROWS[0], offset=number)),
    "oversample": (
        "oversample",
        lambda products, n: products.search(embedding=ROWS[0], criterion="kind", strategy="rerank", oversample=n),
    ),
    "batch_size of add": ("batch_size", lambda products, n: products.add([1], embeddings=ROWS[:1], batch_size=n)),
    "batch_size of materialize": ("batch_size", lambda products, n: products.materialize("kind", batch_size=n)),
    "batch_size of tag": ("batch_size", lambda products, number: products.tag("kind", batch_size=number)),
    "top of tag": ("top", lambda products, number: products.tag("kind", top=number)),
    "sample": ("sample", lambda products, number: products.inspect("kind", sample=number)),
    "top": ("top", lambda products, number: products.inspect("kind", top=number)),
    "examples": ("examples", lambda products, number: products.inspect("kind", examples=number)),
    "sample of ablate": ("sample", lambda products, number: products.ablate("kind", "kind", sample=number)),
    "sample of recall": ("sample", lambda products, number: products.estimate_recall("kind", sample=number)),
    "k": ("k", lambda products, number: products.cluster("kind", number)),
    "seed": ("seed", lambda products, number: products.cluster("kind", 2, seed=number)),
    "out": ("out", lambda products, number: products.train_head("kind", "kind", out=number)),
    "epochs": ("epochs", lambda products, number: products.train_head("kind", "kind", epochs=number)),
    "n_words": ("n_words", lambda products, number: products.define("colour", n_words=number)),
    "dimension": ("dimension", lambda products, n: CRLCollection.create("o", location=":memory:", dimension=n)),
    "scan_memory": (
        "scan_memory",
        lambda products, n: CRLCollection.create("o", location=":memory:", dimension=4, scan_memory=n),
    ),
}


@pytest.fixture(scope="module", params=["edge", "client"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CRLCollection]:
    location = tmp_path_factory.mktemp("edge") if request.param == "edge" else QdrantClient(":memory:")
    with CRLCollection.create("products", location=location, dimension=4) as products:
        products.add(range(20), embeddings=ROWS, payloads=[{"kind": str(number % 3)} for number in range(20)])
        products.define(Criterion("kind", ["a", "b", "c"], embeddings=ROWS[:3]))
        products.materialize("kind")
        yield products


@pytest.mark.parametrize("number", [2**63, 2**64, 2**70, -(2**70), 10**400])
@pytest.mark.parametrize(("argument", "call"), CALLS.values(), ids=CALLS.keys())
def test_is_refused_by_name(shop: CRLCollection, argument: str, call: Call, number: int) -> None:
    with pytest.raises(InputError, match=rf"^`{argument}` must be "):
        call(shop, number)


def test_the_largest_count_is_taken_everywhere(shop: CRLCollection) -> None:
    large = 1_000_000
    assert len(shop.search(embedding=ROWS[0], limit=large, offset=1)) == 19
    assert len(shop.search(embedding=ROWS[0], criterion="kind", strategy="rerank", oversample=large)) == 10
    assert shop.materialize("kind", batch_size=2**31 - 1) == 0


@pytest.mark.parametrize("argument", [models.Filter(must=[]), models.PointIdsList(points=[1]), {1: 2}, "1", b"1"])
def test_ids_that_are_no_list(shop: CRLCollection, argument: Any) -> None:
    for call in (shop.delete, lambda ids: shop.rerank(None, ids, embedding=ROWS[0])):
        with pytest.raises(InputError, match=re.compile("must be a list, got")):
            call(argument)
    assert shop.count() == 20
