"""Composed search measured on labels: the queries, the figures, the weight that is recommended, and the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import unit

from crl_qdrant import Criterion, CRLCollection, EncoderError, InputError, Item, NotFoundError
from crl_qdrant.analysis.composed import Composed, draw_queries
from crl_qdrant.cli.app import main
from crl_qdrant.demo.products import sample_products
from crl_qdrant.demo.render import render
from crl_qdrant.demo.run import CRITERIA

WORDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "clip-text"
COLOURS, KINDS = ["red", "green", "blue"], ["mug", "lamp", "chair", "vase"]
AXES = np.eye(12)
RNG = np.random.default_rng(4)
LABELS = [(COLOURS[at % 3], KINDS[at // 3 % 4]) for at in range(120)]


def shop(location: Any, *, noise: float = 0.3) -> CRLCollection:
    """Ten items of each colour and kind; the kind is the larger part of an embedding."""
    rows = np.array([AXES[COLOURS.index(colour)] + 2 * AXES[3 + KINDS.index(kind)] for colour, kind in LABELS])
    products = CRLCollection.create("products", location=location, dimension=12, device="cpu")
    payloads: list[Any] = [{"colour": colour, "kind": kind} for colour, kind in LABELS]
    payloads[7] = {"colour": "red"}
    products.add(range(120), embeddings=rows + RNG.normal(0, noise, size=rows.shape), payloads=payloads)
    products.define(Criterion("colour", COLOURS, embeddings=AXES[:3]))
    return products


def measure(products: CRLCollection, **options: Any) -> Composed:
    texts = {kind: AXES[3 + at] for at, kind in enumerate(KINDS)}
    return products.measure_composed("colour", "kind", **{"embeddings": texts, "limit": 60, **options})


def test_queries_ask_for_a_value_that_exists() -> None:
    same, other = [label for label, _ in LABELS], [label for _, label in LABELS]
    queries = draw_queries([*same, "pink", None], [*other, "mug", "mug"], KINDS, limit=1000, seed=0)
    assert len({item for item, _ in queries}) == len(queries) == 120  # nothing else is pink
    assert all(KINDS[value] != other[item] for item, value in queries)
    assert queries == draw_queries([*same, "pink", None], [*other, "mug", "mug"], KINDS, limit=1000, seed=0)
    assert queries[:25] == draw_queries([*same, "pink", None], [*other, "mug", "mug"], KINDS, limit=25, seed=0)
    with pytest.raises(InputError, match="only 0 items"):
        draw_queries(same, ["mug"] * 120, KINDS, limit=100, seed=0)


def test_both_together_are_ahead_of_either(location: Any) -> None:
    found = measure(shop(location))
    ways = {way.name: way for way in found.ways}
    assert list(ways)[:3] == ["image alone", "criterion alone", "text alone"]
    assert (found.criterion, found.items, found.queries) == ("colour", 120, 60)
    assert 9 <= found.relevant <= 10
    # one colour in three, one kind in four: alone, each leaves as many wrong ones
    assert ways["text alone"].precision < 0.6
    assert ways["criterion alone"].precision < 0.5
    assert ways["weight 1"].precision > ways["text alone"].precision + 0.3
    assert ways["weight 1"].gain == pytest.approx(ways["weight 1"].precision - ways["text alone"].precision)
    assert ways["image alone"].precision < 0.2
    assert found.helps
    assert 0.25 <= found.recommended <= 2
    assert json.loads(json.dumps(found.to_dict()))["recommended"] == found.recommended


def test_figures_are_those_of_the_definition() -> None:
    """Written another way: a loop over the queries, standardised by all items, which the sample has."""
    products = shop(":memory:", noise=0.8)
    found = measure(products, weights=[0.5])
    ids, rows = products.representations("colour")
    _, images = products.representations()
    order = np.argsort(ids)
    rows, images = rows[order], images[order]
    same = [None if at == 7 else label for at, (label, _) in enumerate(LABELS)]
    other = [None if at == 7 else label for at, (_, label) in enumerate(LABELS)]
    same[7] = "red"
    precisions, first_ten = [], []
    for item, value in draw_queries(same, other, KINDS, limit=60, seed=0):
        by_colour, by_text = rows @ rows[item], images @ AXES[3 + value].astype(np.float32)
        score = 0.5 * (by_colour - by_colour.mean()) / by_colour.std() + (by_text - by_text.mean()) / by_text.std()
        ranked = [at for at in np.argsort(-score, kind="stable").tolist() if at != item]
        right = np.array([same[at] == same[item] and other[at] == KINDS[value] for at in ranked])
        precisions.append(np.mean((right.cumsum() / np.arange(1, 120))[right]))
        first_ten.append(right[:10].mean())
    way = next(each for each in found.ways if each.weight == 0.5)
    assert way.precision == pytest.approx(np.mean(precisions), abs=1e-6)
    assert way.first_ten == pytest.approx(np.mean(first_ten), abs=1e-6)
    assert way.error == pytest.approx(np.std(precisions, ddof=1) / 60**0.5, abs=1e-6)


def test_a_criterion_that_knows_nothing_of_it_is_not_recommended() -> None:
    products = shop(":memory:")
    products.define(Criterion("other", ["x", "y", "z"], embeddings=unit(AXES[9:12])))
    found = measure(products, criterion="other")
    assert not found.helps
    raw = products.measure_composed(
        "kind", "colour", embeddings={each: AXES[at] for at, each in enumerate(COLOURS)}, limit=60
    )
    assert raw.criterion is None
    assert "criterion alone" not in {way.name for way in raw.ways}


def test_what_cannot_be_measured() -> None:
    products = shop(":memory:")
    for options, complaint in (
        ({"limit": 5}, "`limit` must be at least 20, got 5"),
        ({"weights": []}, "`weights` must be at least one number above 0"),
        ({"weights": [-1, 1]}, "none below"),
        ({"embeddings": None, "template": "a kind"}, "`template` must have {value} in it"),
    ):
        with pytest.raises(InputError, match=complaint):
            measure(products, **options)
    with pytest.raises(EncoderError, match="has no encoder, so it cannot embed the values' texts"):
        measure(products, embeddings=None)
    with pytest.raises(NotFoundError, match="there are: colour"):
        measure(products, criterion="cut")


@pytest.mark.skipif(not WORDS.is_dir(), reason="the word embeddings of a real text tower are not present")
def test_on_real_photos_the_default_weight_is_ahead_of_the_text(fashion: dict[str, Any]) -> None:
    names, texts = json.loads((WORDS / "lvis.json").read_text())["names"], np.load(WORDS / "lvis.npy")
    types = json.loads((WORDS / "article_types.json").read_text())
    labels = fashion["table"].select("baseColour", "articleType").to_dicts()
    by_id = dict(zip(fashion["table"]["id"].to_list(), labels, strict=True))
    with CRLCollection.create("products", location=":memory:", dimension=512, device="cpu") as products:
        payloads = [by_id[each] for each in fashion["ids"]]
        products.add(fashion["ids"], embeddings=fashion["embeddings"], payloads=payloads)
        products.define(
            Criterion("baseColour", fashion["words"]["baseColour"], embeddings=fashion["texts"]["baseColour"])
        )
        embeddings = {kind: texts[names.index(word)] for kind, word in types.items()}
        found = products.measure_composed("baseColour", "articleType", embeddings=embeddings)
    ways = {way.weight: way.precision for way in found.ways if way.weight is not None}
    assert ways[0.0] == pytest.approx(0.232, abs=0.001)  # as the text alone was measured elsewhere
    assert ways[0.5] >= 0.34
    assert found.recommended == 0.5


def test_the_order_is_that_of_the_search() -> None:
    pictured = sample_products(80, seed=5)
    with CRLCollection.create("products", location=":memory:", encoder="demo", device="cpu") as products:
        products.ingest(
            Item(at, image=render(each, size=64), payload=each.attributes()) for at, each in enumerate(pictured)
        )
        products.define(next(each for each in CRITERIA if each.name == "colour"))
        template = "merchandise shaped like a {value}"
        found = products.measure_composed("colour", "silhouette", template=template, limit=30, weights=[2.0])
        values = sorted({each.silhouette for each in pictured})
        same, other = [each.colour for each in pictured], [each.silhouette for each in pictured]
        first_ten = []
        for item, at in draw_queries(same, other, values, limit=30, seed=0):
            hits = products.search(
                like=item,
                criterion="colour",
                modifier=template.format(value=values[at]),
                criterion_weight=2.0,
                strategy="scan",
            )
            right = [same[hit.id] == same[item] and other[hit.id] == values[at] for hit in hits]
            first_ten.append(np.mean(right))
    assert next(way for way in found.ways if way.weight == 2.0).first_ten == pytest.approx(np.mean(first_ten), abs=1e-9)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pictured = sample_products(80, seed=5)
    with CRLCollection.create("products", location=tmp_path, encoder="demo", device="cpu") as products:
        products.ingest(
            Item(at, image=render(each, size=64), payload=each.attributes()) for at, each in enumerate(pictured)
        )
        products.define(next(each for each in CRITERIA if each.name == "colour"))

    def run(*arguments: str) -> str:
        options = ["--same", "colour", "--other", "silhouette", "--location", str(tmp_path), "--limit", "30"]
        monkeypatch.setattr(sys, "argv", ["crl-qdrant", "eval", "compose", *options, *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code, capsys.readouterr().err
        return capsys.readouterr().out

    shown = run("--weights", "0.5,1")
    assert "text alone" in shown
    assert "weight 0.5" in shown
    assert "30 queries among 80 items" in shown
    words = tmp_path / "words.json"
    words.write_text(json.dumps({each.silhouette: f"round {each.silhouette}" for each in pictured}))
    found = json.loads(run("--json", "--values", str(words), "--template", "merchandise shaped like a {value}"))
    assert found["queries"] == 30
    assert len(found["ways"]) == 3 + 7
