"""A collection grouped by a criterion: which groups, what they are called, and what is written of them."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from fakes import unit
from qdrant_client import models

from crl_qdrant import Criterion, CRLCollection, InputError, MissingPackageError, NotFoundError
from crl_qdrant.analysis import clustering
from crl_qdrant.demo.products import ATTRIBUTES

RNG = np.random.default_rng(5)
WORDS = ["left", "up", "deep"]
SIZES = {"up": 30, "left": 20, "deep": 10}  # of the groups in `three_ways`


def three_ways(location: Any) -> CRLCollection:
    """Items near three axes of a space of six dimensions, with a word for each axis and noise in the other three."""
    products = CRLCollection.create("products", location=location, dimension=6, device="cpu")
    axes = np.eye(6)
    near = [axes[WORDS.index(word)] for word, size in SIZES.items() for _ in range(size)]
    rows = np.array(near) + RNG.normal(scale=0.03, size=(60, 6))
    rows[:, 3:] += RNG.normal(size=(60, 3))
    payloads = [{"way": word, "crl": {"old": 1}} for word, size in SIZES.items() for _ in range(size)]
    products.add(ids=range(60), embeddings=rows, payloads=payloads)
    products.define(Criterion("way", WORDS, embeddings=axes[:3]))
    return products


def test_groups_names_and_the_payload(location: Any) -> None:
    products = three_ways(location)
    found = products.cluster("way", 3, field="crl.way_group")
    assert [name.split(", ")[0] for name in found.names] == list(SIZES)  # largest first
    assert found.sizes == list(SIZES.values())
    assert np.array_equal(found.labels[np.argsort(found.ids)], np.repeat([0, 1, 2], found.sizes))
    for cluster in found.clusters:
        assert len(cluster.examples) == 8
        (word,) = {_payload(products, each)["way"] for each in cluster.examples}
        assert cluster.words[0][0] == word
        assert cluster.words[0][1] > 0.3
    assert found.silhouette > 0.8
    payload = _payload(products, 59)
    assert payload == {"way": "deep", "crl": {"old": 1, "way_group": found.names[2]}}
    group = models.FieldCondition(key="crl.way_group", match=models.MatchValue(value=found.names[0]))
    assert products.count(models.Filter(must=[group])) == 30


def _payload(products: CRLCollection, point: int | str) -> dict[str, Any]:
    only = models.Filter(must=[models.HasIdCondition(has_id=[point])])
    (hit,) = products.search(embedding=np.ones(6), query_filter=only)
    return dict(hit.payload or {})


def test_the_number_of_groups_is_found_and_a_filter_kept() -> None:
    products = three_ways(":memory:")
    found = products.cluster("way")
    assert len(found.clusters) == 3 == max(found.suggested, key=lambda number: found.suggested[number])
    assert found.suggested.keys() == set(range(2, 21))
    some = models.Filter(must_not=[models.FieldCondition(key="way", match=models.MatchValue(value="up"))])
    assert products.cluster("way", query_filter=some).sizes == [20, 10]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_the_demo_is_grouped_by_each_attribute(demo_shop: dict[str, Any], attribute: str) -> None:
    with CRLCollection.create("products", location=":memory:", dimension=128, device="cpu") as products:
        products.add(range(600), embeddings=demo_shop["embeddings"])
        products.define(demo_shop["criteria"][attribute])
        found = products.cluster(attribute)
        assert len(found.clusters) == len(ATTRIBUTES[attribute])
        values = [demo_shop["payloads"][point][attribute] for point in found.ids]
        for number, cluster in enumerate(found.clusters):
            members = Counter(value for value, label in zip(values, found.labels, strict=True) if label == number)
            value, most = members.most_common(1)[0]
            assert most >= 0.95 * cluster.size
            assert set(cluster.name.split(", ")) == set(ATTRIBUTES[attribute][value])


def test_raw_groups_have_numbers() -> None:
    products = three_ways(":memory:")
    found = products.cluster(k=4, field="group")
    assert (found.criterion, found.names, sum(found.sizes)) == (None, ["", "", "", ""], 60)
    assert found.sizes == sorted(found.sizes, reverse=True)
    assert _payload(products, found.ids[7])["group"] == found.labels[7]
    assert np.array_equal(found.labels, products.cluster(k=4).labels)


def test_many_items_go_in_mini_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    products = three_ways(":memory:")
    expected = products.cluster("way", 3)
    monkeypatch.setattr(clustering, "_MINI_BATCHES_FROM", 10)
    found = products.cluster("way", 3, sample=10)
    assert np.array_equal(found.labels, expected.labels)
    assert found.silhouette == pytest.approx(expected.silhouette, abs=0.1)


def test_two_groups_of_one_name_are_told_apart() -> None:
    assert clustering._distinct(["red", "red", "", "blue", "", "red"]) == ["red", "red (2)", "", "blue", "", "red (3)"]


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    products = three_ways(":memory:")
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    for task in (lambda: products.cluster("way"), lambda: products.few_shot("way", {0: "a", 1: "b"})):
        with pytest.raises(MissingPackageError, match=r'pip install "crl-qdrant\[tasks\]"'):
            task()


def test_bad_input(location: Any) -> None:
    products = three_ways(location)
    for options, complaint in (
        ({"k": 1}, "`k` must be at least 2, got 1"),
        ({"k": 61}, "grouping needs at least 61 different items, and there are "),
        ({"field": "a..b"}, "a field's name must be"),
        ({"field": "crl_source"}, "`field` must be another name"),
        ({"sample": 3}, "sample"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(InputError, match=complaint):
            products.cluster("way", **options)
    with pytest.raises(NotFoundError, match="there are: way"):
        products.cluster("colour")
    nowhere = models.Filter(must=[models.FieldCondition(key="way", match=models.MatchValue(value="gone"))])
    with pytest.raises(InputError, match="and there are 0"):
        products.cluster("way", query_filter=nowhere)
    products.add([1, 2, 3], embeddings=unit(np.ones((3, 6))))
    same = models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 3])])
    with pytest.raises(InputError, match="grouping needs at least 3 different items, and there are 1"):
        products.cluster(query_filter=same)
