"""A criterion looked into: words whose use is known, and the page that shows it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import MakeCollection, picture, unit

from crl_qdrant import Criterion, CRLCollection, InputError, NotFoundError
from crl_qdrant.analysis.geometry import common_share, effective_rank, overlap
from crl_qdrant.analysis.page import render_page
from crl_qdrant.cli.app import main

AXES = np.eye(6)
COLOURS = ["red", "green", "blue"]
# every item is a thing (the first axis) of one colour; none is a spaceship
WORDS = [*COLOURS, "thing", "spaceship"]
TEXTS = AXES[[1, 2, 3, 0, 4]]


@pytest.fixture
def products(make_collection: MakeCollection) -> CRLCollection:
    colours = [0] * 6 + [1] * 3 + [2] * 3
    rows = unit(0.8 * AXES[0] + 0.6 * AXES[1:4][colours] + 0.02 * np.arange(12)[:, None] * AXES[5])
    payloads = [{"colour": COLOURS[each], "image": f"{at}.png"} for at, each in enumerate(colours)]
    return make_collection(embeddings=rows, payloads=payloads, criteria=[Criterion("colour", WORDS, embeddings=TEXTS)])


def test_words_that_fire_and_words_that_never_or_always_do(products: CRLCollection) -> None:
    found = products.inspect("colour", examples=2)
    assert (found.criterion, found.items, found.rank) == ("colour", 12, 9)
    assert [(use.word, use.fires) for use in found.words[:3]] == [("red", 0.5), ("green", 0.25), ("blue", 0.25)]
    assert found.never == ["thing", "spaceship"]
    assert found.always == ["thing"]
    for use in found.words[:3]:
        assert len(use.examples) == 2
        assert all(hit.payload is not None and hit.payload["colour"] == use.word for hit in use.examples)
        best = products.describe(like=use.examples[0].id, criterion="colour", limit=1)[0]
        assert best == (use.word, pytest.approx(use.examples[0].score))
    assert all(use.examples == () for use in found.words[3:])
    assert json.loads(json.dumps(found.to_dict()))["never"] == ["thing", "spaceship"]


def test_a_sample_is_drawn_at_random_and_the_same_again(products: CRLCollection) -> None:
    def drawn(seed: int) -> set[Any]:
        found = products.inspect("colour", sample=5, top=5, examples=5, seed=seed, with_payload=False)
        assert found.items == 5
        assert all(hit.payload is None for use in found.words for hit in use.examples)
        return {hit.id for use in found.words for hit in use.examples}

    assert drawn(0) == drawn(0)
    assert len(set().union(*map(drawn, range(8)))) > 9  # not always the first ones


def test_the_geometry_of_words_by_hand() -> None:
    # K orthonormal words, centred, have K - 1 equal singular values, and a mean of length 1 / sqrt(K)
    assert effective_rank(AXES[:4].astype(np.float32)) == pytest.approx(3.0)
    assert common_share(AXES[:4].astype(np.float32)) == pytest.approx(1 / 4)
    # two variances in the ratio 4 : 1 (words at ±2, ±1 on two axes, all at the same height): entropy of 0.8, 0.2
    words = np.array([[2, 0, 1], [-2, 0, 1], [0, 1, 2], [0, -1, 2]], dtype=np.float32)
    words[:, 2] = 1.0
    assert effective_rank(words) == pytest.approx(np.exp(-0.8 * np.log(0.8) - 0.2 * np.log(0.2)), abs=1e-6)
    assert effective_rank(np.ones((3, 2), dtype=np.float32)) == 0.0


def test_overlaps_by_hand() -> None:
    def of(first: Any, second: Any) -> tuple[float, float]:
        return tuple(overlap(np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)))  # type: ignore[return-value]

    assert of(AXES[:3], AXES[:3]) == pytest.approx((1, 1))
    assert of(AXES[:3], AXES[3:]) == pytest.approx((0, 0), abs=1e-6)
    # directions e0 - e1 and e0 - e2 are at 60 degrees
    assert of(AXES[[0, 1]], AXES[[0, 2]]) == pytest.approx((0.25, 0.5))
    # of the span of e0 - e1 and e0 + e1 - 2 e2, the one direction of the other is a part: all that it has
    assert of(AXES[:3], AXES[:2]) == pytest.approx((1, 1))


def test_overlaps_are_with_every_other_criterion(products: CRLCollection) -> None:
    products.define(Criterion("same", WORDS, embeddings=TEXTS))
    products.define(Criterion("pair", ["a", "b"], embeddings=AXES[4:]))
    overlaps = products.inspect("colour").overlaps
    assert list(overlaps) == ["same", "pair"]
    assert overlaps["same"].mean == pytest.approx(1)
    # e4 - e5 has of the words' span the part of e4 that is not their mean: 4/5 of its half
    assert overlaps["pair"].mean == pytest.approx(0.4)


def test_an_empty_collection_says_what_the_words_are_and_nothing_of_their_use(location: Any) -> None:
    with CRLCollection.create("products", location=location, dimension=6) as products:
        products.define(Criterion("colour", WORDS, embeddings=TEXTS))
        found = products.inspect("colour")
    assert (found.items, found.never, found.always) == (0, [], [])
    assert found.effective_rank == pytest.approx(4)


def test_what_cannot_be_inspected(products: CRLCollection) -> None:
    with pytest.raises(NotFoundError, match="there are: colour"):
        products.inspect("cut")
    for wrong in ({"sample": 0}, {"top": 0}, {"examples": -1}, {"seed": -1}, {"sample": "all"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            products.inspect("colour", **wrong)  # type: ignore[arg-type]


def test_the_page_holds_its_pictures_and_says_which_it_lacks(products: CRLCollection, tmp_path: Path) -> None:
    products.define(Criterion("colour", ["<b>red", *WORDS[1:]], embeddings=TEXTS))
    found = products.inspect("colour", examples=12)
    for use in found.words:
        for hit in use.examples:
            assert hit.payload is not None
            picture(hit.payload["colour"], (300, 200)).save(tmp_path / hit.payload["image"])
    (tmp_path / "7.png").unlink()
    (tmp_path / "8.png").write_text("no picture")
    html, problems = render_page(found, images=tmp_path, image_field="image")
    assert "8.png is not an image in a format that can be read" in sorted(problems)[0]
    assert sorted(problems)[1].endswith("there is no image file " + str(tmp_path / "7.png"))
    sources = re.findall(r'src="([^"]+)"', html)
    assert len(sources) == 10
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "href" not in html
    # by how often they fire, and no word is markup
    order = [html.index(f"<h2>{word}</h2>") for word in ("&lt;b&gt;red", "green", "spaceship")]
    assert order == sorted(order)
    _, problems = render_page(found, images=tmp_path, image_field="photo")
    assert problems[0].endswith("has no path of a picture in 'photo'")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    with CRLCollection.create("products", location=tmp_path / "data", dimension=6) as products:
        products.add([1, 2, 3], embeddings=TEXTS[:3], payloads=[{"image_path": f"{n}.png"} for n in (1, 2, 3)])
        products.define(Criterion("colour", WORDS, embeddings=TEXTS))
        products.define(Criterion("pair", ["a", "b"], embeddings=AXES[4:]))
    for name, colour in zip("123", COLOURS, strict=True):
        picture(colour).save(tmp_path / f"{name}.png")

    def run(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["crl-qdrant", "criteria", "inspect", "colour", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        captured = capsys.readouterr()
        return captured.out, captured.err

    out, err = run("--page", "colour.html", "--images-root", ".")
    assert err == ""
    assert "5 words, 9 dimensions, effective rank 4.0, common to all words 0.20; 3 items" in out
    assert "overlap with pair: 0.40" in out
    assert "never fire: thing, spaceship\n" in out
    assert "33.3%" in out
    assert (tmp_path / "colour.html").read_text().count("data:image/jpeg") == 3
    assert run("--page", "colour.html", "--image-field", "photo")[1].startswith("3 pictures are not shown, the first: ")
    listed = json.loads(run("--json", "--examples", "1")[0])
    assert listed["words"][0]["examples"][0]["payload"] == {"image_path": "1.png"}
