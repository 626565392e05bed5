"""Closeness beside the score, the cut by it, and the few words that a hit matched on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakes import ColourEncoder, picture, unit

from crl_qdrant import Criterion, CRLCollection, InputError, Query
from crl_qdrant.search.closeness import Scale
from crl_qdrant.search.explain import words_to_show
from crl_qdrant.search.results import Explanation, WordShare

RNG = np.random.default_rng(17)
DIMENSION, NUMBER = 24, 500
ROWS = unit(RNG.normal(size=(NUMBER, DIMENSION)) + 0.5)
TEXTS = {name: unit(RNG.normal(size=(8, DIMENSION))) for name in ("fabric", "cut")}


@pytest.fixture(params=[False, True], ids=["scan", "named"])
def products(request: pytest.FixtureRequest, location: Any) -> CRLCollection:
    made = CRLCollection.create("close", location=location, dimension=DIMENSION)
    made.add(range(NUMBER), embeddings=ROWS, payloads=[{"third": n % 3} for n in range(NUMBER)])
    for name, texts in TEXTS.items():
        made.define(Criterion(name, list("stuvwxyz"), embeddings=texts))
    if request.param:
        made.materialize(*TEXTS)
    return made


def shares(rows: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """The share of pairs of rows that are at least as similar."""
    pairs = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return (pairs[None] >= similarities[:, None]).mean(axis=1)


@pytest.mark.parametrize("criterion", [None, "fabric"])
def test_closeness_is_the_rarity_of_such_a_similarity(products: CRLCollection, criterion: str | None) -> None:
    rows = ROWS if criterion is None else products._criteria.find(criterion).projection.represent(ROWS)
    hits = products.search(like=3, criterion=criterion, limit=NUMBER, explain=True)
    closeness = np.array([hit.closeness[criterion or "image"] for hit in hits])
    assert (np.diff(closeness) <= 1e-9).all()
    assert closeness.min() >= 0.0
    assert closeness.max() <= 1.0
    share = shares(rows, np.array([hit.score for hit in hits]))
    known = share >= 20 / (NUMBER * (NUMBER - 1) / 2)  # rarer ones are not read off the sample
    assert closeness[known] == pytest.approx(np.clip(-np.log10(share[known]) / 5, 0, 1), abs=0.01)


def test_the_closest_is_beyond_what_the_sample_has() -> None:
    scale = Scale.of(ROWS.astype(np.float32))
    assert scale is not None
    found = scale.closeness(np.array([-1.0, 0.99, 0.999, 1.0]))
    assert found[0] == 0.0
    assert (np.diff(found) >= 0).all()
    assert found[-1] == 1.0
    assert Scale.of(ROWS[:9].astype(np.float32)) is None
    twins = Scale.of(np.repeat(ROWS[:1], 20, axis=0).astype(np.float32))
    assert twins is not None
    assert np.isfinite(twins.closeness(np.array([0.5, 1.0]))).all()


@pytest.mark.parametrize(
    "options", [{"criterion": "fabric"}, {}, {"criterion": "fabric", "group_by": "third"}], ids=str
)
def test_hits_that_are_not_close_are_left_out(products: CRLCollection, options: dict[str, Any]) -> None:
    name = options.get("criterion") or "image"
    every = products.search(like=3, limit=NUMBER, explain=True, **options)
    for least in (0.0, 0.2, 0.4, 1.0):
        close = products.search(like=3, limit=NUMBER, min_closeness=least, **options)
        assert [hit.id for hit in close] == [hit.id for hit in every if hit.closeness[name] >= least]


def test_with_several_criteria_a_hit_must_be_close_in_each_one_it_should_be_like(products: CRLCollection) -> None:
    criterion = {"fabric": 1.0, "cut": 1.0, None: -0.5}
    every = products.search(like=3, criterion=criterion, limit=NUMBER, explain=True)
    expected = [hit.id for hit in every if min(hit.closeness["fabric"], hit.closeness["cut"]) >= 0.15]
    assert 5 < len(expected) < NUMBER / 2
    close = products.search(like=3, criterion=criterion, limit=NUMBER, min_closeness=0.15)
    assert [hit.id for hit in close] == expected
    # also where the first candidates are not close
    assert [hit.id for hit in products.search(like=3, criterion=criterion, limit=4, min_closeness=0.15)] == expected[:4]


def test_a_text_and_a_small_collection_have_no_closeness(location: Any) -> None:
    products = CRLCollection.create("small", location=location, encoder=ColourEncoder())
    products.add([1, 2, 3], images=[picture(colour) for colour in ("red", "blue", "green")])
    assert products.search(like=1, explain=True)[0].closeness == {}
    with pytest.raises(InputError, match="fewer than 10 items"):
        products.search(like=1, min_closeness=0.3)
    products.add(range(10, 40), images=[picture((n * 6, 255 - n * 6, 90)) for n in range(30)])
    assert products.search(like=1, explain=True)[0].closeness
    assert products.search(text="something red", explain=True)[0].closeness == {}
    assert products.search_batch([Query(text="something red", explain=True)])[0][0].closeness == {}


def share(word: str, share: float, query: float = 1.0, hit: float = 1.0) -> WordShare:
    return WordShare(word, share, query, hit)


@pytest.mark.parametrize(
    ("words", "matched"),
    [
        ([share("a", 0.9), share("b", 0.05), share("c", 0.05)], ["a"]),
        ([share("a", 0.5), share("b", 0.4), share("c", 0.1)], ["a", "b"]),
        ([share("a", 0.4), share("b", 0.3), share("c", 0.09), share("d", 0.21)], ["a", "b", "d"]),
        ([share(word, 0.1) for word in "abcdefghij"], list("abcde")),
        ([share("a", 0.5, query=0.4), share("b", 0.4), share("c", 0.1)], ["b", "c"]),
        ([share("a", 0.5, hit=0.4), share("b", 0.5)], ["b"]),
        ([share("a", 0.5, -1, -1), share("b", -0.5, -1, 1)], []),
        ([], []),
    ],
)
def test_the_few_words_that_carry_the_agreement(words: list[WordShare], matched: list[str]) -> None:
    assert Explanation(0.0, tuple(words)).matched == matched


def test_one_word_to_show() -> None:
    more = np.array([[0.1, 0.95, 1.0], [0.5, 0.2, 0.1], [-0.1, -0.2, 0.0], [0.1, 0.8, 1.0]])
    assert words_to_show(more, ["red", "pink", "fuchsia"]) == ["pink", "red", None, "fuchsia"]


def test_hits_carry_it(products: CRLCollection) -> None:
    for hit in products.search(like=3, criterion="fabric", explain=True):
        explanation = hit.explanation["fabric"]
        strongest = max(explanation.words, key=lambda word: word.hit)
        shown = next(word for word in explanation.words if word.word == explanation.word)
        assert shown.hit >= 0.9 * strongest.hit > 0
        assert set(explanation.matched) <= set("stuvwxyz")
