"""Searches by several goals: standardized scores, modifiers, expansion; the same on every store and strategy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fakes import ColourEncoder, unit
from qdrant_client import QdrantClient

from crl_qdrant import Criterion, CRLCollection, EmbeddingError, Query

RNG = np.random.default_rng(21)
DIMENSION, NUMBER = 16, 1200
ROWS = unit(RNG.normal(size=(NUMBER, DIMENSION)) + 0.3)
TEXTS = {name: unit(RNG.normal(size=(6, DIMENSION)) + 0.2) for name in ("fabric", "cut")}
WORDS = ["linen", "denim", "navy blue", "wool", "silk", "felt"]


class Speaking(ColourEncoder):
    """Texts from a table."""

    name = "speaking"
    dimension = DIMENSION
    table = {text: unit(RNG.normal(size=DIMENSION)) for text in ("with a dog", "a dog too", "in navy blue", "linens")}  # noqa: RUF012

    def encode_texts(self, texts: Any) -> np.ndarray:
        return np.stack([self.table[text] for text in texts])


def fill(products: CRLCollection, *, materialized: bool) -> CRLCollection:
    products.add(range(NUMBER), embeddings=ROWS, payloads=[{"third": n % 3, "family": n // 3} for n in range(NUMBER)])
    for name, texts in TEXTS.items():
        products.define(Criterion(name, WORDS, embeddings=texts))
    if materialized:
        products.materialize(*TEXTS)
    return products


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, CRLCollection]]:
    """The same points with and without named vectors, on Edge and in qdrant-client's local mode."""
    client = QdrantClient(":memory:")
    made = {}
    for store in ("edge", "client"):
        for plan in ("scan", "named"):
            location: Any = client if store == "client" else tmp_path_factory.mktemp("shop")
            products = CRLCollection.create(f"{store}-{plan}", location=location, encoder=Speaking())
            made[f"{store}, {plan}"] = fill(products, materialized=plan == "named")
    yield made
    for products in made.values():
        products.close()
    client.close()


def represented(products: CRLCollection, name: str | None) -> np.ndarray:
    """All points' representations, float64."""
    return ROWS if name is None else products._criteria.find(name).projection.represent(ROWS)


SEARCHES: list[dict[str, Any]] = [
    {"criterion": {"fabric": 1.0, "cut": 1.0}},
    {"criterion": {"fabric": 1.0, "cut": -0.7}},
    {"criterion": "fabric", "modifier": "with a dog"},
    {"criterion": {"fabric": 1.0, "cut": 0.5, None: 0.3}, "modifier": ["with a dog", "a dog too"]},
    {"modifier": "with a dog"},
    {"criterion": "cut", "modifier": "with a dog", "criterion_weight": 0.0},
    {"criterion": "cut", "unlike": [3, 4]},
    {"criterion": {"fabric": 1.0, "cut": 1.0}, "expand": 3},
    {"criterion": "fabric", "expand": 5},
    {"criterion": "fabric", "modifier": "with a dog", "expand": 5},
]


@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_every_store_and_strategy_has_the_same_order(shops: dict[str, CRLCollection], options: dict[str, Any]) -> None:
    found = {
        place: [(hit.id, hit.score) for hit in products.search(embedding=ROWS[7], limit=20, **options)]
        for place, products in shops.items()
    }
    first = found["edge, scan"]
    for place, hits in found.items():
        assert [point for point, _ in hits] == [point for point, _ in first], place
        assert [score for _, score in hits] == pytest.approx([score for _, score in first], abs=1e-4)


@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_pages_and_lists_of_any_length_agree(shops: dict[str, CRLCollection], options: dict[str, Any]) -> None:
    for place, products in shops.items():
        whole = [hit.id for hit in products.search(embedding=ROWS[7], limit=200, with_payload=False, **options)]
        pages = [
            products.search(embedding=ROWS[7], limit=20, offset=start, with_payload=False, **options)
            for start in (0, 20, 140, 180)
        ]
        assert [hit.id for page in pages for hit in page] == [*whole[:40], *whole[140:160], *whole[180:]], place
        assert len(set(whole)) == 200


def test_the_score_is_the_standardized_sum(shops: dict[str, CRLCollection]) -> None:
    """Over a sample of 1,000 of the 1,200 points: each mean and deviation is known to a few hundredths."""
    weights: dict[str | None, float] = {"fabric": 1.0, "cut": -0.5, None: 2.0}
    query = ROWS[7]
    rows = {name: represented(shops["edge, scan"], name) for name in weights}
    parts = {name: rows[name] @ rows[name][7] for name in weights}
    words = ROWS @ Speaking.table["with a dog"]

    def standard(values: np.ndarray) -> np.ndarray:
        return (values - values.mean()) / values.std()

    expected = 0.8 * sum(weight * standard(parts[name]) for name, weight in weights.items()) + standard(words)
    for products in shops.values():
        hits = products.search(
            embedding=query, criterion=weights, modifier="with a dog", criterion_weight=0.8, limit=50
        )
        assert [hit.score for hit in hits] == pytest.approx(np.sort(expected)[::-1][:50], abs=0.2)
        assert len({hit.id for hit in hits} & set(np.argsort(-expected)[:50].tolist())) >= 47
        for hit in hits[:5]:
            assert hit.scores["fabric"] == pytest.approx(parts["fabric"][hit.id], abs=1e-5)
            assert hit.scores["image"] == pytest.approx(parts[None][hit.id], abs=1e-5)
            assert hit.scores["modifier"] == pytest.approx(words[hit.id], abs=1e-5)


def test_a_filter_does_not_change_a_score(shops: dict[str, CRLCollection]) -> None:
    from qdrant_client import models

    third = models.Filter(must=[models.FieldCondition(key="third", match=models.MatchValue(value=1))])
    for products in shops.values():
        options: dict[str, Any] = {"embedding": ROWS[7], "criterion": {"fabric": 1.0, "cut": 1.0}}
        scores = {hit.id: hit.score for hit in products.search(limit=NUMBER, **options)}
        hits = products.search(limit=20, query_filter=third, **options)
        assert len(hits) == 20
        assert [hit.score for hit in hits] == pytest.approx([scores[hit.id] for hit in hits], abs=1e-6)


def test_writes_move_the_sample_as_opening_again_finds_it(tmp_path: Any) -> None:
    products = fill(CRLCollection.create("kept", location=tmp_path, dimension=DIMENSION), materialized=False)
    options: dict[str, Any] = {"embedding": ROWS[7], "criterion": {"fabric": 1.0, "cut": 1.0}, "limit": 10}
    products.search(**options)  # the sample is in memory
    products.add(range(2000, 2300), embeddings=unit(RNG.normal(size=(300, DIMENSION))))
    products.delete(range(100, 150))
    products.add(range(50), embeddings=unit(RNG.normal(size=(50, DIMENSION))))
    kept = products.search(**options)
    products.close()
    with CRLCollection.open("kept", location=tmp_path) as again:
        assert [(hit.id, round(hit.score, 4)) for hit in again.search(**options)] == [
            (hit.id, round(hit.score, 4)) for hit in kept
        ]


@pytest.mark.parametrize("phrasing", ["in navy blue"])
def test_a_modifier_that_names_a_value_of_a_kept_criterion_is_warned_of(
    shops: dict[str, CRLCollection], phrasing: str
) -> None:
    products = shops["edge, scan"]
    with pytest.warns(UserWarning, match="says 'navy blue', which is a word of criterion 'fabric'"):
        products.search(embedding=ROWS[7], criterion={"fabric": 1.0, "cut": -1.0}, modifier=phrasing)
    # no warning, which would be an error: a part of another word, and a criterion that hits should be unlike in
    products.search(embedding=ROWS[7], criterion="fabric", modifier="linens")
    products.search(embedding=ROWS[7], criterion={"fabric": -1.0}, modifier=phrasing)


@pytest.mark.parametrize("place", ["edge, scan", "edge, named", "client, scan", "client, named"])
def test_expansion_is_the_weighted_mean_with_the_first_hits(shops: dict[str, CRLCollection], place: str) -> None:
    products = shops[place]
    rows, projection = represented(products, "fabric"), products._criteria.find("fabric").projection
    first = [hit.id for hit in products.search(like=7, criterion="fabric", limit=5)]
    moved = rows[7] + sum(max(float(rows[7] @ rows[n]), 0.0) * rows[n] for n in first)
    expected = rows @ unit(moved)
    expected[7] = -np.inf
    hits = products.search(like=7, criterion="fabric", limit=20, expand=5, explain=True)
    assert [hit.id for hit in hits] == np.argsort(-expected, kind="stable")[:20].tolist()
    assert [hit.score for hit in hits] == pytest.approx(np.sort(expected)[::-1][:20], abs=1e-5)
    for hit in hits:
        explanation = hit.explanation["fabric"]
        total = explanation.common + sum(word.share for word in explanation.words) + explanation.rest
        assert total == pytest.approx(hit.score, abs=1e-9)
        pair = projection.without_words(np.stack([unit(moved), rows[hit.id]]))
        assert explanation.rest == pytest.approx(float(pair[0] @ pair[1]), abs=1e-5)


def test_expansion_goes_with_batches_and_given_candidates(shops: dict[str, CRLCollection]) -> None:
    for products in shops.values():
        query = Query(like=7, criterion="fabric", expand=5)
        alone = products.search(like=7, criterion="fabric", expand=5)
        assert [hit.id for hit in products.search_batch([query, query])[1]] == [hit.id for hit in alone]
        given = products.rerank(None, range(NUMBER), like=7, criterion="fabric", expand=5, limit=10)
        assert [hit.id for hit in given] == [hit.id for hit in alone]
        assert [hit.id for hit in products.search(like=7, criterion="fabric")] != [hit.id for hit in alone]


def test_what_is_good_by_both_and_the_best_by_neither_is_found(tmp_path: Any) -> None:
    """Two crowds that are best by one criterion each, larger than the candidates of one goal, and one between them."""
    number = 6000
    axes = np.eye(DIMENSION)
    rows = unit(np.repeat([axes[0], axes[1]], number // 2, axis=0) + 0.05 * RNG.normal(size=(number, DIMENSION)))
    middle = unit(0.9 * axes[0] + 0.9 * axes[1])
    products = CRLCollection.create("both", location=tmp_path, dimension=DIMENSION)
    products.add(range(number), embeddings=rows)
    products.add([number], embeddings=[middle])
    for name, axis in (("left", 0), ("right", 1)):
        texts = unit(np.stack([axes[axis] + 0.1 * axes[k] for k in range(2, 6)]))
        products.define(Criterion(name, list("stuv"), embeddings=texts, preset="paper"))
    products.materialize("left", "right")
    options: dict[str, Any] = {"embedding": middle + 0.01, "criterion": {"left": 1.0, "right": 1.0}, "limit": 5}
    assert products.search(strategy="scan", **options)[0].id == number
    named = products.search(**options)
    assert named.plan.strategy == "named"
    assert named[0].id == number
    products.close()


def test_a_modifier_may_be_a_texts_embedding(shops: dict[str, CRLCollection]) -> None:
    row = Speaking.table["with a dog"]
    for products in shops.values():
        by_text = products.search(embedding=ROWS[7], criterion="fabric", modifier="with a dog")
        for embedded in (row, 3 * row, row.tolist()):
            hits = products.search(embedding=ROWS[7], criterion="fabric", modifier=embedded)
            assert [hit.id for hit in hits] == [hit.id for hit in by_text]
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in by_text], abs=1e-5)
        with pytest.raises(EmbeddingError, match=r"the modifier's embedding must have shape \[16\], got \[3\]"):
            products.search(embedding=ROWS[7], criterion="fabric", modifier=[1.0, 2.0, 3.0])
