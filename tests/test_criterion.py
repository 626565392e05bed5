from __future__ import annotations

import json

import numpy as np
import pytest

from crl_qdrant import Criterion, CriterionError, EmbeddingError


def test_defaults_are_the_papers() -> None:
    criterion = Criterion("fabric", ["denim", "raw  silk "])
    assert criterion.texts == ["objects with the fabric of denim", "objects with the fabric of raw silk"]
    assert (criterion.weighting, criterion.center, criterion.energy) == (1.0, False, 1.0)
    assert criterion.vector_name == "crl_fabric"


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
    "options", [{"prompt": "no place"}, {"prompt": "{} and {}"}, {"weighting": 9}, {"energy": 0}, {"energy": 1.5}]
)
def test_options_that_cannot_be(options: dict) -> None:
    with pytest.raises(CriterionError, match=next(iter(options))):
        Criterion("fabric", ["a", "b"], **options)


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
    criterion = Criterion(
        "fabric", ["a", "b"], prompt="made of {}", embeddings=rows, weighting=0, center=True, energy=0.9
    )
    back = Criterion.from_dict(json.loads(json.dumps(criterion.to_dict())))
    assert np.array_equal(back.embeddings, criterion.embeddings)
    assert back.to_dict() == criterion.to_dict()
    assert back.fingerprint(None) == criterion.fingerprint(None)


def test_fingerprint_changes_with_whatever_changes_the_projection() -> None:
    base = Criterion("fabric", ["a", "b"])
    same = {base.fingerprint("demo"), Criterion("other", ["a", "b"], prompt=base.prompt).fingerprint("demo")}
    assert len(same) == 1
    changed = {
        base.fingerprint("another encoder"),
        Criterion("fabric", ["a", "c"]).fingerprint("demo"),
        Criterion("fabric", ["a", "b"], prompt="made of {}").fingerprint("demo"),
        Criterion("fabric", ["a", "b"], center=True).fingerprint("demo"),
        base.with_embeddings(np.eye(2)).fingerprint("demo"),
        base.with_embeddings(np.array([[1.0, 0.0], [1.0, 1.0]])).fingerprint("demo"),
    }
    assert len(changed | same) == 7
