"""Words for a criterion asked for by its name: whose are taken, and how often a source is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes import ColourEncoder, MakeCollection

from crl_qdrant import Criterion, CriterionError, CRLCollection, InputError, packaged_words, PRESETS, VocabularyError


class Source:
    """Answers with its words, and remembers what it was asked."""

    def __init__(self, *words: str) -> None:
        self.words = list(words)
        self.asked: list[tuple[str, int | None, str | None]] = []

    def __call__(self, name: str, *, n_words: int | None = None, domain: str | None = None) -> list[str]:
        self.asked.append((name, n_words, domain))
        return self.words


@pytest.fixture
def products(make_collection: MakeCollection, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch) -> CRLCollection:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    return make_collection(encoder=encoder)


def test_a_known_name_has_packaged_words(products: CRLCollection) -> None:
    kept = products.define("Color", n_words=30, prompt="a {} thing")
    assert list(kept.words) == packaged_words("colour")[:30]  # type: ignore[index]
    assert kept.texts[0] == f"a {kept.words[0]} thing"
    assert kept.embeddings is not None
    assert products.define("Color").words == kept.words


def test_an_unknown_name_without_a_key_says_what_can_be_done(products: CRLCollection) -> None:
    with pytest.raises(VocabularyError, match=r"set ANTHROPIC_API_KEY, or give the words.* packaged lists: .*fabric"):
        products.define("zeitgeist")
    with pytest.raises(VocabularyError, match="ANTHROPIC_API_KEY"):
        products.define("colour", domain="women's shoes")  # a packaged list knows nothing of shoes
    assert products.criteria == {}


def test_a_source_is_asked_once(products: CRLCollection) -> None:
    source = Source("red", "blue", "green")
    for _ in range(2):
        kept = products.define("tint", source, n_words=3, domain="hats", preset="paper")
    assert kept.words == ("red", "blue", "green")
    assert source.asked == [("tint", 3, "hats")]
    assert kept.options == PRESETS["paper"]
    # other options with the words it has
    assert products.define("tint", sharpen=1.0).options == replace(PRESETS["paper"], sharpen=1.0)
    assert products.define("tint", prompt="something {}").texts[0] == "something red"
    source.words = ["white", "black", "red"]
    assert products.define("tint", source, anew=True).words == ("white", "black", "red")
    assert len(source.asked) == 2


def test_words_that_the_encoder_cannot_tell_apart_are_one(products: CRLCollection) -> None:
    # the encoder reads the names of colours and nothing else
    kept = products.define("tint", Source("red", "the red one", "blue", "very blue", "green"))
    assert kept.words == ("red", "blue", "green")
    assert np.allclose(np.linalg.norm(kept.embeddings, axis=1), 1)  # type: ignore[arg-type]


def test_what_does_not_go_together(products: CRLCollection) -> None:
    with pytest.raises(InputError, match="words were given"):
        products.define("tint", ["red", "blue"], n_words=7)
    with pytest.raises(CriterionError, match="at least two"):
        products.define("tint", Source("red"))
    with pytest.raises(CriterionError, match="no option 'temperature'"):
        products.define("tint", ["red", "blue", "green"], temperature=3)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("toe", {"preset": "papre"}),
        ("toe", {"preset": ["paper"]}),
        ("toe", {"prompt": "no slot"}),
        ("toe", {"prompt": 5}),
        ("toe", {"sharpen": -1}),
        ("toe", {"sharpen": 10**400}),
        ("toe", {"nonsense": 1}),
        ("toe", {"name": "x"}),
        ("toe", {"n_words": 2.5}),
        ("toe", {"n_words": -5}),
        ("toe box", {}),
        ("image", {}),
    ],
)
def test_nobody_is_asked_for_words_of_what_cannot_be(location: Any, name: str, more: dict[str, Any]) -> None:
    products = CRLCollection.create("checked", location=location, encoder=ColourEncoder())
    asked: list[str] = []

    def source(name: str, *, n_words: int | None = None, domain: str | None = None) -> list[str]:
        asked.append(name)
        return ["red", "green", "blue"]

    with pytest.raises((CriterionError, InputError)):
        products.define(name, source, **more)
    assert asked == []


def test_two_words_that_are_left_have_the_papers_form(location: Any) -> None:
    products = CRLCollection.create("twins", location=location, encoder=ColourEncoder())
    kept = products.define("fit", lambda name, **_: ["red", "red ", "RED.", "blue"][:1] + ["Red", "blue"][1:])
    assert kept.options == Criterion("fit", ["red", "blue"]).options
