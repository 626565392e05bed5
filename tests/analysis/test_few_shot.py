"""The rest of a collection labelled from a few examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qdrant_client import models
from sklearn.linear_model import LogisticRegression

from crl_qdrant import Criterion, CRLCollection, InputError, NotFoundError
from crl_qdrant.demo.products import ATTRIBUTES

RNG = np.random.default_rng(11)
KINDS = ["plain", 7, True]
ROWS = RNG.normal(size=(60, 8)) + 3 * np.repeat(np.eye(8)[:3], 20, axis=0)


def kinds(location: Any, *, labelled: int = 0) -> CRLCollection:
    """Twenty items each of three kinds; the first few of each have it in their payload."""
    products = CRLCollection.create("products", location=location, dimension=8, device="cpu")
    payloads = [{"kind": KINDS[n // 20]} if n % 20 < labelled else {"n": n} for n in range(60)]
    products.add(range(60), embeddings=ROWS, payloads=payloads)
    products.define(Criterion("kind", list("abcd"), embeddings=np.eye(8)[:4], preset="paper"))
    return products


def examples(number: int) -> dict[int, Any]:
    return {20 * kind + n: KINDS[kind] for kind in range(3) for n in range(number)}


def test_probabilities_are_those_of_the_scaled_representation(location: Any) -> None:
    products = kinds(location)
    found = products.few_shot("kind", examples(4), abstain=False)
    # R = I Tᵀ by words at unit length, scaled as the paper's code does it, without this package
    r = (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True))[:, :4]
    r /= np.linalg.norm(r, axis=1, keepdims=True)
    scaled = (r - r.mean()) / r.std(axis=1, keepdims=True)
    train = list(examples(4))
    model = LogisticRegression(max_iter=1000).fit(scaled[train], np.repeat([0, 1, 2], 4))
    expected = model.predict_proba(scaled[[int(point) for point in found.ids]])
    assert sorted(map(int, found.ids)) == [n for n in range(60) if n not in train]
    assert found.probabilities == pytest.approx(expected.max(axis=1), abs=1e-4)
    assert found.labels == [KINDS[at] for at in expected.argmax(axis=1)]
    pairs = zip(found.ids, found.labels, strict=True)
    assert np.mean([label is KINDS[int(point) // 20] for point, label in pairs]) > 0.9


def test_the_payload_is_written_and_the_rest_of_it_stays(location: Any) -> None:
    products = kinds(location)
    found = products.few_shot("kind", examples(4), abstain=False, field="crl.kind")
    payloads = {hit.id: hit.payload for hit in products.search(embedding=ROWS[0], limit=60)}
    assert payloads[0] == {"n": 0, "crl": {"kind": "plain", "kind_probability": 1.0}}
    assert payloads[found.ids[5]] == {
        "n": found.ids[5],
        "crl": {"kind": found.labels[5], "kind_probability": round(found.probabilities[5], 4)},
    }
    sure = models.FieldCondition(key="crl.kind_probability", range=models.Range(gte=0.0, lte=1.0))
    assert products.count(models.Filter(must=[sure])) == 60
    products.few_shot(None, examples(2), abstain=False, field="kind")
    plain = models.FieldCondition(key="kind", match=models.MatchValue(value="plain"))
    assert 15 <= products.count(models.Filter(must=[plain])) <= 25


def test_labels_and_tags_take_each_others_place(location: Any) -> None:
    products = kinds(location)
    products.tag("kind")
    products.few_shot("kind", examples(3), abstain=False, field="crl.kind")
    for hit in products.search(like=0, limit=60):
        assert set((hit.payload or {})["crl"]) == {"kind", "kind_probability"}
    products.tag("kind")
    for hit in products.search(like=0, limit=60):
        assert set((hit.payload or {})["crl"]) in ({"kind", "kind_score"}, set())


def test_items_that_no_example_is_near_to_stay_unlabelled(location: Any) -> None:
    products = kinds(location)
    two_kinds = {each: label for each, label in examples(8).items() if label is not True}
    found = products.few_shot("kind", two_kinds, field="crl.kind")
    labels = dict(zip(found.ids, found.labels, strict=True))
    assert found.abstains
    assert [labels[each] for each in range(40, 60)].count(None) >= 15
    assert [labels[each] for each in (*range(8, 20), *range(28, 40))].count(None) <= 6
    unknown = models.FieldCondition(key="crl.kind", match=models.MatchValue(value="plain"))
    assert products.count(models.Filter(must=[unknown])) == 8 + found.labels.count("plain")
    # a label that was given before is removed
    products.few_shot("kind", two_kinds, abstain=False, field="crl.kind")
    products.few_shot("kind", two_kinds, field="crl.kind")
    assert products.count(models.Filter(must=[unknown])) == 8 + found.labels.count("plain")
    assert None not in products.few_shot("kind", two_kinds, abstain=False).labels


def test_with_one_example_of_each_label_nothing_is_withheld() -> None:
    found = kinds(":memory:").few_shot("kind", examples(1))
    assert not found.abstains
    assert None not in found.labels


def test_a_field_of_the_shop_is_not_overwritten(location: Any) -> None:
    products = kinds(location, labelled=3)
    refused = "9 points have a value in 'kind' that crl-qdrant did not write"
    with pytest.raises(InputError, match=refused):
        products.few_shot("kind", examples(4), field="kind")
    with pytest.raises(InputError, match=refused):
        products.cluster("kind", 3, field="kind")
    with pytest.raises(InputError, match=refused):
        products.tag("kind", field="kind")
    every = {hit.id: hit.payload for hit in products.search(embedding=ROWS[0], limit=60, with_payload=["kind"])}
    assert every[0] == {"kind": "plain"}
    products.few_shot("kind", examples(4), abstain=False, field="kind", overwrite=True)
    # it is the product's from now on, also for another process that opens the collection
    products.refresh()
    products.cluster("kind", 3, field="kind")
    products.cluster("kind", 3, field="new")
    products.tag("kind", field="new", min_score=0)
    with pytest.raises(InputError, match="51 points have a value in 'n'"):
        products.tag("kind", field="n")


def test_one_grammar_of_fields(location: Any) -> None:
    products = kinds(location)
    for field, parents in (('shop."a b".kind', ["shop", "a b"]), ("in stock", []), ('crl."a.b"', ["crl"])):
        name = field.rpartition(".")[2].strip('"') if field != 'crl."a.b"' else "a.b"
        for task in ("few_shot", "cluster", "tag"):
            if task == "few_shot":
                products.few_shot("kind", examples(4), abstain=False, field=field)
            elif task == "cluster":
                products.cluster("kind", 3, field=field)
            else:
                products.tag("kind", min_score=0, field=field)
            payload: Any = products.search(embedding=ROWS[0], limit=1)[0].payload
            for part in parents:
                payload = payload[part]
            assert name in payload
            assert products.search(like=0, limit=3, group_by=field)
            assert products.few_shot("kind", field).examples


def test_fields_with_blanks_and_dots_in_their_names(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=8, device="cpu")
    payloads = [{"in stock": KINDS[n // 20], "size.eu": n // 20, "n": n} for n in range(60)]
    products.add(range(60), embeddings=ROWS, payloads=payloads)
    products.define(Criterion("kind", list("abcd"), embeddings=np.eye(8)[:4], preset="paper"))
    assert products.search(like=0, limit=1, with_payload=["in stock", '"size.eu"'])[0].payload == {
        "in stock": "plain",
        "size.eu": 0,
    }
    assert [hit.group for hit in products.search(like=0, limit=3, group_by="in stock")] == ["plain", 7, True]
    assert [hit.group for hit in products.search(like=0, limit=3, group_by='"size.eu"')] == [0, 1, 2]
    assert products.few_shot("kind", "in stock").accuracy is not None
    assert products.ablate("kind", "in stock").items == 60


def test_labels_from_the_payload_and_a_filter(location: Any) -> None:
    products = kinds(location, labelled=3)
    found = products.few_shot("kind", "kind")
    assert found.examples == examples(3)
    assert len(found.ids) == 51
    some = models.Filter(must=[models.HasIdCondition(has_id=[*range(40), 59])])
    fewer = products.few_shot("kind", "kind", query_filter=some)
    assert len(fewer.examples) == 6
    assert set(fewer.ids) == {*range(3, 20), *range(23, 40), 59}
    assert set(fewer.labels) - {None} == {"plain", 7}
    # examples beyond the filter are learnt from all the same where they are named
    assert len(products.few_shot("kind", examples(3), query_filter=some).examples) == 9


def test_accuracy_is_that_of_examples_left_out() -> None:
    products = kinds(":memory:")
    assert products.few_shot("kind", examples(1)).accuracy is None
    assert products.few_shot("kind", examples(6)).accuracy == pytest.approx(1.0, abs=0.1)
    mixed = {n: "odd" if n % 2 else "even" for n in range(40)}
    assert products.few_shot("kind", mixed).accuracy == pytest.approx(0.5, abs=0.3)
    everything = products.few_shot("kind", examples(20))
    assert (everything.ids, everything.labels, len(everything.probabilities)) == ([], [], 0)


def test_one_example_each_of_many_labels() -> None:
    found = kinds(":memory:").few_shot(None, {n: f"kind {n}" for n in range(30)})
    assert len(found.labels) == 30
    assert found.accuracy is None


def test_the_demo_is_tagged_from_one_example_of_each_value(demo_shop: dict[str, Any]) -> None:
    payloads = demo_shop["payloads"]
    with CRLCollection.create("products", location=":memory:", dimension=128, device="cpu") as products:
        products.add(range(600), embeddings=demo_shop["embeddings"])
        for name, criterion in demo_shop["criteria"].items():
            products.define(criterion)
            one_each = {next(n for n in range(600) if payloads[n][name] == value): value for value in ATTRIBUTES[name]}
            right = {}
            for respect in (None, name):
                found = products.few_shot(respect, one_each)
                pairs = zip(found.ids, found.labels, strict=True)
                right[respect] = np.mean([payloads[int(point)][name] == label for point, label in pairs])
            assert right[name] > 0.95 > right[None] + 0.2


def test_bad_input(location: Any) -> None:
    products = kinds(location)
    for given, complaint in (
        ({}, "there must be labels, and there are none"),
        ({1: "a", 2: "a"}, "`examples` must have at least two labels, and all have 'a'"),
        ({1: "a", 2: ["b"]}, r"a label must be one text, number or truth value; point 2 has \['b'\]"),
        ({"SKU-7": "a"}, "a point's id must be"),
        ("colour", "no point has a value in the payload field 'colour'"),
        (["a"], "`labels` must be the name of a payload field or a mapping"),
    ):
        with pytest.raises(InputError, match=complaint):
            products.few_shot("kind", given)
    with pytest.raises(InputError, match="a field's name must be like"):
        products.few_shot("kind", examples(1), field="kind[]")
    with pytest.raises(NotFoundError, match=r"1 of 2 labelled points are not there .* the first: 99"):
        products.few_shot("kind", {1: "a", 99: "b"})
    with pytest.raises(NotFoundError, match="there are: kind"):
        products.few_shot("colour", examples(1))
