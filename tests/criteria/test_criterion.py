from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from crl_qdrant import Criterion, CriterionError, EmbeddingError, Options, PRESETS


def test_the_prompt_is_the_papers_and_the_options_are_those_that_measured_best() -> None:
    criterion = Criterion("fabric", ["denim", "raw  silk ", "felt"])
    assert criterion.texts[:2] == ["objects with the fabric of denim", "objects with the fabric of raw silk"]
    assert criterion.options == Options(center="text", sharpen="auto", blend="auto", rest="auto", dimensions=64)
    paper = Options(center="none", sharpen=0.0, blend=0.5, rest=0.0, dimensions=None)
    assert Criterion("fabric", ["a", "b", "c"], preset="paper").options == paper
    # centring two words would leave one direction
    assert Criterion("sleeve", ["long", "short"]).options == PRESETS["paper"]


def test_several_prompts_are_averaged() -> None:
    criterion = Criterion("fabric", ["denim", "silk"], prompt=["made of {}", "a {} thing"])
    assert criterion.texts == ["made of denim", "made of silk", "a denim thing", "a silk thing"]
    assert criterion.prompt == "made of {}"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "at least two"),
        (["denim"], "at least two"),
        (["denim", " "], "word 2 .* is blank"),
        (["Denim", "denim"], "more than once: denim"),
        ("denim", "a list of texts"),
        (["denim", 7], "must be texts, got 7"),
    ],
)
def test_words_that_cannot_be(words: object, complaint: str) -> None:
    with pytest.raises(CriterionError, match=complaint):
        Criterion("fabric", words)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 65, None])
def test_names_that_cannot_be(name: object) -> None:
    with pytest.raises(CriterionError, match="name"):
        Criterion(name, ["a", "b"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": "no place"},
        {"prompt": "{} and {}"},
        {"prompt": []},
        {"weighting": 9},
        {"energy": 0},
        {"energy": 1.5},
        {"sharpen": -1},
        {"sharpen": "much"},
        {"sharpen": 1e-39},
        {"sharpen": float("nan")},
        {"rest": 1},
        {"rest": -0.1},
        {"rest": "all"},
        {"dimensions": 1},
        {"dimensions": 64.0},
        {"dimensions": True},
        {"blend": 0},
        {"center": True},
        {"rank": 0},
        {"rank": True},
        {"suppress": "colour"},
        {"suppress": [3]},
        {"suppress_rank": None},
        {"tangent": "yes"},
        {"preset": "papers"},
        {"centre": "text"},
    ],
    ids=str,
)
def test_options_that_cannot_be(options: dict) -> None:
    with pytest.raises(CriterionError, match=next(iter(options))):
        Criterion("fabric", ["a", "b"], **options)


def test_options_change_one_by_one() -> None:
    criterion = Criterion("fabric", ["a", "b", "c"], embeddings=np.eye(3), suppress=["cut", "cut"])
    changed = criterion.with_options(sharpen=0.7)
    assert changed.options == Options(sharpen=0.7, suppress=("cut",))
    assert changed.with_options("paper").options == PRESETS["paper"]
    assert np.array_equal(changed.embeddings, criterion.embeddings)
    assert criterion.with_name("cloth").texts == criterion.texts
    with pytest.raises(AttributeError):
        criterion.name = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(criterion)).to_dict() == criterion.to_dict()


def test_embeddings_are_checked_and_scaled() -> None:
    given = Criterion("fabric", ["a", "b"], embeddings=np.array([[3.0, 4.0], [0.0, 2.0]]))
    assert given.embeddings is not None
    assert given.embeddings.tolist() == [pytest.approx([0.6, 0.8]), [0.0, 1.0]]
    for wrong in (
        np.ones((3, 2)),
        np.ones(2),
        np.array([[0.0, 0.0], [1.0, 0.0]]),
        np.array([[np.nan, 1.0], [1.0, 0.0]]),
    ):
        with pytest.raises(EmbeddingError, match="fabric"):
            Criterion("fabric", ["a", "b"], embeddings=wrong)


def test_json_round_trip_keeps_every_bit() -> None:
    rows = np.random.default_rng(0).normal(size=(2, 5))
    criterion = Criterion("fabric", ["a", "b"], prompt=["{}", "made of {}"], embeddings=rows, weighting=0, energy=0.9)
    back = Criterion.from_dict(json.loads(json.dumps(criterion.to_dict())))
    assert np.array_equal(back.embeddings, criterion.embeddings)
    assert back.to_dict() == criterion.to_dict()


def test_same_words_are_those_with_the_same_embeddings() -> None:
    base = Criterion("fabric", ["a", "b"])
    assert base.same_words(base.with_embeddings(np.eye(2)))
    assert base.with_embeddings(np.eye(2)).same_words(base.with_options("paper").with_embeddings(np.eye(2)))
    for other in (
        Criterion("fabric", ["a", "c"]),
        Criterion("fabric", ["a", "b"], prompt="made of {}"),
        Criterion("fabric", ["b", "a"]),
    ):
        assert not base.same_words(other)
    assert not base.with_embeddings(np.eye(2)).same_words(base.with_embeddings([[1, 0], [1, 1]]))


@pytest.mark.parametrize("name", ["रंग", "สี", "gro\u0308ße", "色"])
def test_names_of_any_script(name: str) -> None:
    assert Criterion(name, ["a", "b"]).name == name
    with pytest.raises(CriterionError, match="letters"):
        Criterion("\u0308", ["a", "b"])
