"""Filters that no engine can answer: each is one of our errors, on every store and in every call that takes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import models, QdrantClient

from crl_qdrant import CRLCollection, FilterError, StoreError

ROW = np.eye(4)[0]


def nested(levels: int) -> models.Filter:
    made = models.Filter(must=[models.FieldCondition(key="n", match=models.MatchValue(value=1))])
    for _ in range(levels):
        made = models.Filter(must=[made])
    return made


def must(**condition: Any) -> models.Filter:
    return models.Filter.model_construct(must=[models.FieldCondition.model_construct(**condition)])


ODD: dict[str, models.Filter] = {
    "a key that is no text": must(key=5, match=models.MatchValue(value=1)),
    "a key that is no path": must(key="a[", match=models.MatchValue(value=1)),
    "an empty key": must(key="", match=models.MatchValue(value=1)),
    "an index beyond every list": must(key="l[99999999999999999999]", match=models.MatchValue(value=1)),
    "half a character": must(key="\udce9", match=models.MatchValue(value="\udce9")),
    "a condition that is a text": models.Filter.model_construct(must=["x"]),
    "conditions that are a number": models.Filter.model_construct(must=5),
    "a fewest number below 0": models.Filter(min_should=models.MinShould(conditions=[], min_count=-1)),
    "more levels than a stack has": nested(2_000),
}
CALLS: dict[str, Callable[[CRLCollection, models.Filter], object]] = {
    "count": lambda products, odd: products.count(odd),
    "search": lambda products, odd: products.search(embedding=ROW, query_filter=odd),
    "scan": lambda products, odd: products.search(embedding=ROW, query_filter=odd, strategy="scan"),
    "representations": lambda products, odd: products.representations(query_filter=odd),
}


@pytest.fixture(scope="module", params=["edge", "client"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CRLCollection]:
    location = tmp_path_factory.mktemp("edge") if request.param == "edge" else QdrantClient(":memory:")
    with CRLCollection.create("products", location=location, dimension=4) as products:
        payloads = [{"n": 1, "l": [1, "a", None, {"a": 1}]}, {"n": "a"}, {}]
        products.add([1, 2, 3], embeddings=np.eye(4)[:3], payloads=payloads)
        yield products


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_is_an_error_of_ours(
    shop: CRLCollection, odd: models.Filter, call: Callable[[CRLCollection, models.Filter], object]
) -> None:
    with pytest.raises(FilterError):
        call(shop, odd)


@pytest.mark.parametrize(
    "error", [AttributeError("x"), TypeError("x"), IndexError("x"), AssertionError("x"), OverflowError("x")]
)
def test_whatever_local_mode_raises_is_an_error_of_ours(error: Exception) -> None:
    client = QdrantClient(":memory:")
    with CRLCollection.create("products", location=client, dimension=4) as products:
        products.add([1], embeddings=[ROW])

        def fail(*_: object, **__: object) -> None:
            raise error

        for name in ("count", "query_batch_points", "delete", "retrieve", "scroll", "upsert", "get_collection"):
            setattr(client, name, fail)
        calls: list[Callable[[], object]] = [
            lambda: products.count(),
            lambda: products.search(embedding=ROW),
            lambda: products.search(like=1),
            lambda: products.delete([1]),
            lambda: products.add([2], embeddings=[ROW]),
            lambda: products.representations(),
            lambda: products.info(),
        ]
        for call in calls:
            with pytest.raises(StoreError, match=type(error).__name__):
                call()
