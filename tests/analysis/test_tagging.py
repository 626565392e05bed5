"""A criterion's words as tags: what is written, what is left alone, and what becomes of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qdrant_edge
from failing_store import failing_store
from fakes import unit
from qdrant_client import models, QdrantClient

from crl_qdrant import Criterion, CRLCollection, InputError, Item, NotFoundError, StoreError
from crl_qdrant.cli.app import main

COLOURS = ["red", "green", "blue"]
AXES = np.eye(7)
ROWS = unit(AXES[0] + np.array([AXES[1 + at % 3] + 0.5 * AXES[4 + at % 2] for at in range(12)]))


def colour_of(at: int) -> str:
    return COLOURS[at % 3]


def filled(location: Any) -> CRLCollection:
    products = CRLCollection.create("products", location=location, dimension=7)
    products.add(range(12), embeddings=ROWS, payloads=[{"n": at, "deep": {"n": at}} for at in range(12)])
    products.define(Criterion("colour", COLOURS, embeddings=AXES[1:4]))
    products.define(Criterion("cut", ["slim", "wide", "never"], embeddings=AXES[4:]))
    return products


@pytest.fixture
def products(location: Any) -> CRLCollection:
    return filled(location)


def payloads(products: CRLCollection) -> dict[Any, dict[str, Any]]:
    return {hit.id: hit.payload or {} for hit in products.search(embedding=np.ones(7), limit=1000)}


def having(key: str, value: str) -> models.Filter:
    return models.Filter(must=models.FieldCondition(key=key, match=models.MatchValue(value=value)))


def test_each_item_gets_its_word_and_nothing_else_is_touched(products: CRLCollection) -> None:
    assert products.tag("colour", batch_size=5) == 12
    assert products.tag("cut") == 12
    for at, payload in payloads(products).items():
        tags = payload.pop("crl")
        assert payload == {"n": at, "deep": {"n": at}}
        assert set(tags) == {"colour", "colour_score", "cut", "cut_score"}
        ((word, _),) = products.describe(like=at, criterion="colour", limit=1)
        assert tags["colour"] == word == colour_of(at)
        assert 0.5 <= tags["colour_score"] <= 1
        assert tags["cut"] == ["slim", "wide"][at % 2]
    assert products.count(having("crl.colour", "red")) == 4
    hits = products.search(embedding=AXES[4], criterion="cut", query_filter=having("crl.colour", "blue"))
    assert {hit.id for hit in hits} == {2, 5, 8, 11}
    assert (products.tag("colour"), products.tag("cut")) == (0, 0)


def test_an_item_that_is_nothing_in_particular_stays_unknown(location: Any) -> None:
    rng = np.random.default_rng(2)
    clear = AXES[0] + AXES[1 + np.arange(300) % 3]
    vague = AXES[0] + 0.02 * rng.normal(size=(4, 7))
    products = CRLCollection.create("products", location=location, dimension=7)
    products.add(range(304), embeddings=unit(np.concatenate([clear + 0.05 * rng.normal(size=(300, 7)), vague])))
    products.define(Criterion("colour", COLOURS, embeddings=AXES[1:4]))
    assert products.tag("colour", min_score=0) == 304
    every = payloads(products)
    scores = np.array([every[at].get("crl", {}).get("colour_score", 0.0) for at in range(304)])
    assert (scores[:300] >= 0.5).all()
    assert (scores[300:] < 0.5).all()
    # what is below the bar loses its tag; what stays has the same one
    products.tag("colour")
    every = payloads(products)
    assert [every[at]["crl"]["colour"] for at in range(300)] == [colour_of(at) for at in range(300)]
    assert [every[at]["crl"] for at in range(300, 304)] == [{}] * 4


def test_of_words_that_are_nearly_equal_the_first_in_the_list_is_written(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=7)
    products.add(range(12), embeddings=ROWS)
    words = ["pink", "fuchsia", "green", "blue"]
    texts = unit(np.stack([AXES[1], AXES[1] + 0.02 * AXES[4], AXES[2], AXES[3]]))
    products.define(Criterion("colour", words, embeddings=texts))
    products.tag("colour", min_score=0)
    assert [payloads(products)[at]["crl"]["colour"] for at in range(0, 12, 3)] == ["pink"] * 4
    products.tag("colour", top=2, min_score=0)
    assert {tuple(payloads(products)[at]["crl"]["colour"]) for at in range(0, 12, 3)} == {("pink", "fuchsia")}


def test_several_words_are_lists(products: CRLCollection) -> None:
    # above the average item in a colour's own word alone: there is no second one to write
    assert products.tag("colour", top=2) == 12
    assert payloads(products)[0]["crl"]["colour"] == ["red"]
    products.define(Criterion("both", [*COLOURS, "slim", "wide"], embeddings=AXES[1:6]))
    assert products.tag("both", top=2) == 12
    tags = payloads(products)[0]["crl"]
    assert tags["both"] == ["red", "slim"]
    assert tags["both_score"] == sorted(tags["both_score"], reverse=True)
    assert products.count(having("crl.both", "slim")) == 6
    assert products.tag("both", top=2) == 0
    assert products.tag("both") == 12
    assert payloads(products)[0]["crl"]["both"] == "red"


def test_only_some_items_and_another_field(products: CRLCollection) -> None:
    some = models.Filter(must=models.FieldCondition(key="n", range=models.Range(lt=3)))
    assert products.tag("colour", query_filter=some, field="hue.main") == 3
    assert payloads(products)[0]["hue"]["main"] == "red"
    assert "hue" not in payloads(products)[3]
    assert products.count(having("hue.main", "red")) == 1


def test_ingest_still_knows_its_items_and_a_changed_one_is_tagged_again(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=7)
    items = [Item(at, embedding=ROWS[at], payload={"n": at}) for at in range(12)]
    products.ingest(items)
    products.define(Criterion("colour", COLOURS, embeddings=AXES[1:4]))
    products.tag("colour")
    assert products.ingest(items).unchanged == 12
    assert products.count(having("crl.colour", "red")) == 4
    report = products.ingest([Item(0, embedding=ROWS[0], payload={"n": "new"}), *items[1:]])
    assert (report.written, report.unchanged) == (1, 11)
    assert "crl" not in payloads(products)[0]
    assert products.tag("colour") == 1
    assert payloads(products)[0]["crl"]["colour"] == "red"


def test_an_interrupted_tag_is_resumed(products: CRLCollection) -> None:
    with failing_store("set_payload", StoreError("gone"), at=3), pytest.raises(StoreError, match="gone"):
        products.tag("colour", batch_size=4)
    assert products.tag("colour", batch_size=4) == 4
    assert [payload["crl"]["colour"] for _, payload in sorted(payloads(products).items())] == COLOURS * 4


def test_other_words_replace_the_tags_and_an_item_without_any_loses_them(products: CRLCollection) -> None:
    products.tag("colour")
    # what has no part in the words at all is not the least bit of any of them
    products.define(Criterion("colour", ["crimson", "lime"], embeddings=AXES[[1, 2]]))
    assert products.tag("colour") == 12
    every = payloads(products)
    assert every[0]["crl"]["colour"] == "crimson"
    assert every[1]["crl"]["colour"] == "lime"
    assert every[2]["crl"] == {}
    assert products.tag("colour") == 0


def test_what_cannot_be_tagged(products: CRLCollection) -> None:
    with pytest.raises(NotFoundError, match="there are: colour, cut"):
        products.tag("fabric")
    for wrong in ({"top": 0}, {"batch_size": 0}, {"field": ""}, {"field": 7}, {"min_score": 2}, {"min_score": "x"}):
        with pytest.raises(InputError, match="a field's name" if "field" in wrong else next(iter(wrong))):
            products.tag("colour", **wrong)  # type: ignore[arg-type]
    for taken in ("crl.cut", "crl.cut_score"):
        with pytest.raises(InputError, match="criterion 'cut'"):
            products.tag("colour", field=taken)
    products.add([99], embeddings=ROWS[:1], payloads=[{"crl": "mine"}])
    with pytest.raises(InputError, match="point 99 has 'crl' as 'mine'"):
        products.tag("colour")
    assert payloads(products)[99] == {"crl": "mine"}


def test_an_empty_collection_has_nothing_to_tag(location: Any) -> None:
    with CRLCollection.create("products", location=location, dimension=7) as products:
        products.define(Criterion("colour", COLOURS, embeddings=AXES[1:4]))
        assert products.tag("colour") == 0


def test_tags_are_facets(tmp_path: Path) -> None:
    client = QdrantClient(":memory:")
    filled(client).tag("colour")
    facets = client.facet("products", "crl.colour").hits
    assert {each.value: each.count for each in facets} == dict.fromkeys(COLOURS, 4)
    # in the directory of Qdrant Edge, once nobody holds it
    with filled(tmp_path) as products:
        products.tag("colour")
    shard = qdrant_edge.EdgeShard.load(str(tmp_path / "products" / "shard"))
    keyword = qdrant_edge.PayloadSchemaType.Keyword
    shard.update(qdrant_edge.UpdateOperation.create_field_index("crl.colour", keyword))
    edge_facets = shard.facet(qdrant_edge.FacetRequest("crl.colour")).hits
    assert {each.value: each.count for each in edge_facets} == dict.fromkeys(COLOURS, 4)
    shard.close()
    with CRLCollection.open("products", location=tmp_path) as products:
        assert products.count(having("crl.colour", "red")) == 4


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path / "data").close()
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["crl-qdrant", "criteria", "tag", "colour", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return capsys.readouterr().out

    assert run() == "criterion colour: 12 points tagged\n"
    assert json.loads(run("--json")) == {"criterion": "colour", "written": 0}
    assert run("--top", "2", "--field", "hue", "--min-score", "0") == "criterion colour: 12 points tagged\n"
