"""Fuzzing of a collection: criteria, queries, filters and its manifest."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import pytest
from fakes import ColourEncoder, picture
from fuzzing import fuzz, odd_text, odd_value
from pydantic import ValidationError
from qdrant_client import models

from crl_qdrant import Criterion, CRLCollection, Item
from crl_qdrant.criteria.manifest import Manifest

OPTIONS = ["prompt", "embeddings", "sharpen", "blend", "weighting", "rank", "energy", "center", "suppress", "tangent"]
ARGUMENTS = ["image", "embedding", "like", "text", "images", "unlike", "criterion", "modifier", "limit", "offset"]
ARGUMENTS += ["query_filter", "with_payload", "score_threshold", "strategy", "oversample", "group_by", "diversity"]


pytestmark = pytest.mark.filterwarnings("ignore")  # a hint is no fault


@pytest.fixture
def products(location: Any) -> CRLCollection:
    made = CRLCollection.create("products", location=location, encoder=ColourEncoder())
    payloads = [{"n": n, "brand": "Acme", "at": "2026-01-02T00:00:00Z", "in stock": n % 2 == 0} for n in range(4)]
    made.add(range(4), [picture(each) for each in ("red", "green", "blue", "white")], payloads=payloads)
    made.define("colour", ["red", "green", "blue"])
    return made


def test_criteria(products: CRLCollection) -> None:
    def criterion(rng: random.Random) -> None:
        options = {name: odd_value(rng, 2) for name in rng.sample(OPTIONS, rng.choice([0, 0, 1, 2]))}
        words: Any = odd_value(rng) if rng.random() < 0.4 else [odd_text(rng) for _ in range(rng.randrange(5))]
        name: Any = rng.choice(["cut", "cut", odd_text(rng), odd_value(rng, 1)])
        Criterion.from_dict(Criterion(name, words, **options).to_dict())
        if rng.random() < 0.1:
            products.define(Criterion(name, words, **options))
            products.search(like=1, criterion=name)

    fuzz(criterion)


def test_queries(products: CRLCollection) -> None:
    def query(rng: random.Random) -> None:
        usual: dict[str, Any] = rng.choice([{"like": 1}, {"text": "red"}, {"embedding": np.ones(4)}, {}])
        odd = {name: odd_value(rng, 2) for name in rng.sample(ARGUMENTS, rng.randrange(3))}
        products.search(**{"criterion": rng.choice([None, "colour"]), **usual, **odd})

    fuzz(query, share=0.3)


def condition(rng: random.Random, depth: int = 2) -> Any:
    key = rng.choice(["n", "brand", "at", "in stock", '"in stock"', "a.b", "a[].b", "a[0]", odd_text(rng)])
    number = rng.choice([0, 1, -1, 0.5, 2**63 - 1, None])
    match rng.randrange(9 if depth else 7):
        case 0:
            return models.FieldCondition(key=key, match=models.MatchValue(value=rng.choice([1, True, odd_text(rng)])))
        case 1:
            return models.FieldCondition(key=key, match=models.MatchAny(any=rng.choice([[], ["a"], [1, 2]])))
        case 2:
            return models.FieldCondition(key=key, range=models.Range(gte=number, lt=rng.choice([1, None])))
        case 3:
            return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
        case 4:
            return models.HasIdCondition(has_id=rng.choice([[], [1], [odd_text(rng)], [2**64 - 1]]))
        case 5:
            return models.FieldCondition(key=key, match=models.MatchText(text=odd_text(rng)))
        case 6:
            return models.FieldCondition(key=key, values_count=models.ValuesCount(gte=rng.choice([0, 1, 2**31])))
        case 7:
            return some_filter(rng, depth - 1)
    return models.NestedCondition(nested=models.Nested(key=key, filter=some_filter(rng, depth - 1)))


def some_filter(rng: random.Random, depth: int = 2) -> models.Filter:
    kinds = ("must", "should", "must_not")
    return models.Filter(**{kind: [condition(rng, depth)] for kind in rng.sample(kinds, rng.randrange(3))})


def test_filters(products: CRLCollection) -> None:
    def filtered(rng: random.Random) -> None:
        try:
            made = some_filter(rng)
        except ValidationError:  # qdrant_client's own, before we see it
            return
        assert 0 <= products.count(made) <= 4
        assert len(products.search(like=1, query_filter=made)) <= 4

    fuzz(filtered, share=0.5)


def test_items(products: CRLCollection) -> None:
    def items(rng: random.Random) -> None:
        given = [
            Item(
                odd_value(rng, 1),
                image=rng.choice([None, None, odd_value(rng, 1)]),
                embedding=rng.choice([None, np.ones(4), odd_value(rng, 2)]),
                payload=rng.choice([None, {"a": odd_value(rng, 2)}, odd_value(rng, 1)]),
                key=rng.choice([None, odd_text(rng), odd_value(rng, 1)]),
            )
            for _ in range(4)
        ]
        report = products.ingest(given)
        assert report.written + report.unchanged + len(report.rejected) == 4

    fuzz(items, share=0.1)


def test_manifests(products: CRLCollection) -> None:
    store = products._store
    whole, sizes = store.metadata(), store.vector_sizes()

    def damage(rng: random.Random, value: Any) -> Any:
        if isinstance(value, (dict, list)) and value and rng.random() < 0.9:
            changed = copy.copy(value)
            at = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
            changed[at] = damage(rng, value[at])
            if rng.random() < 0.1:
                del changed[at]
            return changed
        return rng.choice([None, 0, -1, 2**40, "", "image", "!!!", [], {}, [[]], {"a": 1}, True, odd_text(rng)])

    def manifest(rng: random.Random) -> None:
        changed = copy.deepcopy(whole)
        for _ in range(rng.randrange(1, 3)):
            changed = damage(rng, changed)
        if isinstance(changed, dict):
            Manifest.read(changed, sizes, collection="products")

    fuzz(manifest)
