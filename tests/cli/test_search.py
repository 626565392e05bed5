"""`crl-qdrant search`: what is wrong with an option is said, and what to write instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from crl_qdrant import Criterion, CRLCollection
from crl_qdrant.cli.app import app

ROWS = np.random.default_rng(4).normal(size=(40, 6))


@pytest.fixture
def shop(tmp_path: Path) -> list[str]:
    """The options that name a collection of 40 items."""
    with CRLCollection.create("products", location=tmp_path, dimension=6) as products:
        payloads = [{"brand": f"brand {n % 3}", "n": n} for n in range(40)]
        products.add(range(40), embeddings=ROWS, payloads=payloads)
        products.define(Criterion("colour", ["red", "blue", "green"], embeddings=ROWS[:3]))
    return ["--location", str(tmp_path)]


def search(shop: list[str], *options: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["search", *shop, *options])
    error = str(done.exception) if done.exception is not None else ""
    return done.exit_code, done.stdout, done.stderr + error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-c", "colour=x"], "must be a number, got 'x'; write colour=1"),
        (["-c", "colour=1", "-c", "colour=2"], "names 'colour' more than once; give each criterion once"),
        (["--where", "brand"], "must be FIELD=VALUE, got 'brand'; write brand=Acme"),
        (["--min-closeness", "2"], "`min_closeness` must be from 0 to 1, got 2"),
        (["-c", "colour=1e308", "-c", "other=1"], "the weight of criterion 'colour' must be 0, or from"),
    ],
)
def test_an_option_that_is_wrong(shop: list[str], options: list[str], message: str) -> None:
    status, _, error = search(shop, "--like", "1", *options)
    assert status != 0
    assert message in error


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--field", "bramd"], "no item has a field bramd"),
        (["--where", "bramd=x"], "no item has a field bramd"),
        (["--where", "brand=brand 1", "--where", "brand=brand 2"], "none has brand brand 1 and brand 2 at once"),
    ],
)
def test_a_hint_where_an_option_finds_nothing(shop: list[str], options: list[str], hint: str) -> None:
    status, _, error = search(shop, "--like", "1", *options)
    assert status == 0
    assert hint in error


def test_expansion_and_closeness(shop: list[str]) -> None:
    options = ["--like", "1", "-c", "colour", "--json"]
    plain, expanded, close = (
        json.loads(search(shop, *options, *more)[1])
        for more in ([], ["--expand", "5"], ["--min-closeness", "0.1", "-n", "40"])
    )
    assert "closeness" not in plain[0]
    assert [hit["id"] for hit in expanded] != [] != plain
    assert [hit["score"] for hit in expanded] != [hit["score"] for hit in plain]
    assert 0 < len(close) < 39
    assert all(hit["closeness"]["colour"] >= 0.1 for hit in close)
