"""A shop with its own embeddings, from storing them to a composed search, where torch is not installed.

    python use_without_torch.py DIRECTORY

Every search is compared with the formula. `check_light_install.py` runs this in a virtual environment of its own.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crl_qdrant import Criterion, CRLCollection, Hits, MissingPackageError
from crl_qdrant.encoders import load_encoder

Rows = npt.NDArray[np.float64]
NUMBER, DIMENSION = 300, 32
RNG = np.random.default_rng(8)


def unit(rows: Rows) -> Rows:
    scaled: Rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return scaled


IMAGES = unit(RNG.normal(size=(NUMBER, DIMENSION)))
WORDS = unit(RNG.normal(size=(3, DIMENSION)))
MODIFIER = unit(RNG.normal(size=DIMENSION))


class TextTower:
    """A shop's own model, reached by whatever way the shop has: here a table of vectors."""

    name = "tower-of-the-shop"
    dimension = DIMENSION

    def encode_images(self, images: Sequence[object]) -> Rows:
        raise NotImplementedError("this shop stores embeddings")

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        return np.stack([MODIFIER] * len(texts))


def assert_ranked(hits: Hits, scores: Rows, *, within: float = 2e-3) -> None:
    best = np.sort(scores)[::-1][: len(hits)]
    assert hits
    assert np.allclose([hit.score for hit in hits], best, atol=within)


def what_is_missing(call: Callable[[], object]) -> str:
    try:
        call()
    except MissingPackageError as error:
        return str(error)
    raise AssertionError("this is said to need torch")


def main(location: Path) -> None:
    representation = unit(IMAGES @ WORDS.T)
    by_heel = representation @ representation[0]
    with CRLCollection.create("shoes", location=location, encoder=TextTower()) as shoes:
        assert shoes.add(ids=range(NUMBER), embeddings=IMAGES).written == NUMBER
        assert_ranked(shoes.search(embedding=IMAGES[0]), IMAGES @ IMAGES[0])
        heel = Criterion("heel", ["flat", "block heel", "stiletto"], embeddings=WORDS, preset="paper")
        shoes.define(heel)
        scanned = shoes.search(embedding=IMAGES[0], criterion="heel")
        assert scanned.plan.strategy == "scan"
        assert_ranked(scanned, by_heel)
        assert shoes.materialize("heel") == NUMBER
        named = shoes.search(embedding=IMAGES[0], criterion="heel")
        assert named.plan.strategy == "named"
        assert_ranked(named, by_heel)
        composed = shoes.search(embedding=IMAGES[0], criterion="heel", modifier="in red", limit=20)
        assert len(composed) == 20
        for hit in composed:
            expected = by_heel[int(hit.id)], IMAGES[int(hit.id)] @ MODIFIER
            assert np.allclose((hit.scores["heel"], hit.scores["modifier"]), expected, atol=2e-3)
        shoes.define(Criterion("cut", ["slim", "wide", "straight"], embeddings=WORDS[::-1]))  # the default's options
        assert shoes.search(like=3, criterion="cut", explain=True)[0].explanation["cut"].words
    with CRLCollection.open("shoes", location=location) as again:
        assert_ranked(again.search(embedding=IMAGES[0], criterion="heel"), by_heel)
        assert 'pip install "crl-qdrant[gpu]"' in what_is_missing(lambda: again.train_head("heel", {1: "a", 2: "b"}))
    assert 'pip install "crl-qdrant[open-clip]"' in what_is_missing(lambda: load_encoder("demo"))
    assert 'pip install "crl-qdrant[transformers]"' in what_is_missing(lambda: load_encoder("transformers:some/model"))
    assert importlib.util.find_spec("torch") is None


main(Path(sys.argv[1]))
print("stored, searched by named vector, by scan and by image and text, without torch")
