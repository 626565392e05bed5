"""The demo in small, and the renderer and captions it stands on."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest

from crl_qdrant.demo.products import ATTRIBUTES, caption, Product, sample_products
from crl_qdrant.demo.render import render
from crl_qdrant.demo.run import CRITERIA, run_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    (out / "precision.json").write_text(json.dumps(run_demo(out, number=400, device="cpu").precision))
    return out


def test_every_criterion_beats_plain_search(demo: Path) -> None:
    precision = json.loads((demo / "precision.json").read_text())
    assert list(precision) == list(ATTRIBUTES)
    reached = {"silhouette": 0.88, "colour": 0.99, "pattern": 0.90, "count": 0.99}
    for name, (raw, conditional) in precision.items():
        assert conditional >= reached[name] > raw + 0.2


def test_the_page_shows_pictures_that_are_there(demo: Path) -> None:
    page = (demo / "index.html").read_text(encoding="utf-8")
    images = re.findall(r'src="([^"]+)"', page)
    assert len(images) >= 5 * (1 + 8 * 8)
    assert all((demo / image).is_file() for image in images)
    for name in ("overall", *ATTRIBUTES):
        assert f"<h2>{name}</h2>" in page
    figures = re.findall(r"<figure( class=\"match\")?>", page)
    # seven of eight rows ask for something in particular, and most of what they find is that
    assert figures.count(' class="match"') > 0.75 * 7 / 8 * len(figures)


def test_run_again_it_uses_what_is_there(demo: Path) -> None:
    before = json.loads((demo / "precision.json").read_text())
    pictures = {path: path.stat().st_mtime_ns for path in (demo / "images").iterdir()}
    again = run_demo(demo, number=400, device="cpu")
    assert {name: list(values) for name, values in again.precision.items()} == before
    assert pictures == {path: path.stat().st_mtime_ns for path in (demo / "images").iterdir()}


def test_pictures_are_repeatable_and_attributes_show() -> None:
    product = Product("dress", "red", "striped", "two", seed=5)
    first, second = (np.asarray(render(product)) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == (128, 128, 3)
    assert render(product, size=64).size == (64, 64)
    for other in ("hat red striped two", "dress blue striped two", "dress red dotted two", "dress red striped four"):
        changed = np.asarray(render(Product(*other.split(), seed=5)))
        assert (np.abs(changed.astype(int) - first) > 40).any(axis=2).mean() > 0.01


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_value_can_be_drawn(attribute: str) -> None:
    plain = {"silhouette": "dress", "colour": "red", "pattern": "plain", "count": "one"}
    pictures = {render(Product(**{**plain, attribute: value}, seed=1)).tobytes() for value in ATTRIBUTES[attribute]}
    assert len(pictures) == len(ATTRIBUTES[attribute])


def test_samples_are_repeatable_and_cover_all_values() -> None:
    products = sample_products(500, seed=3)
    assert products == sample_products(500, seed=3) != sample_products(500, seed=4)
    for name, values in ATTRIBUTES.items():
        assert {product.attributes()[name] for product in products} == set(values)


def test_captions_speak_of_what_they_say_they_speak_of() -> None:
    rng = random.Random(0)
    kept = 0
    for product in sample_products(400, seed=6):
        text, spoken = caption(product, rng)
        kept += len(spoken)
        assert spoken
        for name in ATTRIBUTES:
            said = any(phrasing in text for phrasing in ATTRIBUTES[name][product.attributes()[name]])
            assert said or name not in spoken
    assert 2.3 < kept / 400 < 2.9  # each of four attributes with probability 0.65


def test_the_demo_asks_in_sentences_that_no_caption_has() -> None:
    rng = random.Random(0)
    captions = {caption(product, rng)[0] for product in sample_products(2000, seed=6)}
    for criterion in CRITERIA:
        beginning = criterion.prompt.split("{}")[0]
        assert not any(beginning in text for text in captions)
