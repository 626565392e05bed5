"""Equal scores: one order on every plan and store, so that pages neither repeat a hit nor lose one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fakes import unit
from qdrant_client import models, QdrantClient

from crl_qdrant import Criterion, CRLCollection, Query

RNG = np.random.default_rng(8)
DIMENSION, NUMBER, PICTURES = 8, 300, 6
PICTURE = unit(RNG.normal(size=(PICTURES, DIMENSION)) + 0.3)
TEXTS = {name: unit(RNG.normal(size=(4, DIMENSION))) for name in ("fabric", "cut")}


@pytest.fixture(scope="module", params=["edge", "edge, optimized", "client"])
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CRLCollection]:
    """300 points of 6 pictures, in no order; the first criterion has a named vector."""
    client = QdrantClient(":memory:")
    location: Any = client if request.param == "client" else tmp_path_factory.mktemp("twins")
    products = CRLCollection.create("twins", location=location, dimension=DIMENSION)
    ids = RNG.permutation(NUMBER)
    for some in np.array_split(ids, 5):  # rows of batches of several sizes
        payloads = [{"family": int(n) // 5} for n in some]
        products.add(some.tolist(), embeddings=PICTURE[some % PICTURES], payloads=payloads)
    for name, texts in TEXTS.items():
        products.define(Criterion(name, list("stuv"), embeddings=texts))
    products.materialize("fabric")
    if "optimized" in request.param:
        products.optimize()
    yield products
    products.close()
    client.close()


EXACT = models.SearchParams(exact=True)
SEARCHES: list[dict[str, Any]] = [
    {"criterion": "fabric"},
    {"criterion": "fabric", "search_params": EXACT},
    {"criterion": "fabric", "strategy": "scan"},
    {"criterion": "cut"},
    {},
    {"strategy": "scan"},
    {"criterion": {"fabric": 1.0, "cut": 1.0}},
    {"criterion": {"fabric": 1.0, None: -0.5}},
    {"criterion": {"fabric": -1.0}},
    {"criterion": "fabric", "group_by": "family"},
    {"criterion": "fabric", "expand": 5},
    {"criterion": "fabric", "score_threshold": -1.0},
    {"criterion": "fabric", "query_filter": models.Filter(must_not=[models.HasIdCondition(has_id=[3])])},
]


@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_pages_are_the_whole_list_cut_up(twins: CRLCollection, options: dict[str, Any]) -> None:
    def search(limit: int, offset: int = 0) -> list[tuple[Any, float]]:
        hits = twins.search(embedding=PICTURE[0] + 0.1 * PICTURE[1], limit=limit, offset=offset, **options)
        return [(hit.id, hit.score) for hit in hits]

    whole = search(60)
    assert len(whole) == 60
    assert whole == sorted(whole, key=lambda hit: (-hit[1], hit[0]))
    assert [hit for start in range(0, 60, 10) for hit in search(10, start)] == whole
    assert search(30) == whole[:30]
    assert search(60) == whole


def test_every_point_is_on_one_page(twins: CRLCollection) -> None:
    for options in ({"criterion": "fabric"}, {}, {"criterion": "cut"}):
        pages = [
            twins.search(embedding=PICTURE[2], limit=50, offset=start, with_payload=False, **options)
            for start in range(0, NUMBER, 50)
        ]
        assert sorted(hit.id for page in pages for hit in page) == list(range(NUMBER))


def test_a_batch_has_the_same_order(twins: CRLCollection) -> None:
    queries = [Query(embedding=PICTURE[0], criterion=name, limit=20) for name in ("fabric", "cut", None)]
    for query, hits in zip(queries, twins.search_batch(queries), strict=True):
        single = twins.search(embedding=PICTURE[0], criterion=query.criterion, limit=20)
        assert [(hit.id, hit.score, hit.payload) for hit in hits] == [(h.id, h.score, h.payload) for h in single]


@pytest.mark.parametrize("options", SEARCHES[:7], ids=str)
def test_a_score_equal_to_the_threshold_is_a_hit(twins: CRLCollection, options: dict[str, Any]) -> None:
    every = twins.search(embedding=PICTURE[3], limit=NUMBER, **options)
    for score in sorted({hit.score for hit in every})[1:]:
        above = twins.search(embedding=PICTURE[3], limit=NUMBER, score_threshold=score, **options)
        assert [hit.id for hit in above] == [hit.id for hit in every if hit.score >= score]
        assert {score} <= {hit.score for hit in above}
