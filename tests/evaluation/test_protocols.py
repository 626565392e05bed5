"""The paper's protocols on plain arrays: separable ones, and against computations written another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes import ColourEncoder, conditional_cosines, unit
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from crl_qdrant import Criterion, CRLCollection
from crl_qdrant.analysis.scaling import rescale
from crl_qdrant.common.arrays import unit_or_zero
from crl_qdrant.errors import EncoderError, InputError
from crl_qdrant.evaluation.attribute_retrieval import attribute_precision, reduced_words
from crl_qdrant.evaluation.clustering import cluster
from crl_qdrant.evaluation.few_shot import few_shot
from crl_qdrant.evaluation.representation import embed_words, represent
from crl_qdrant.evaluation.scores import Score
from crl_qdrant.evaluation.similarity import condition_texts, gallery_ranks, GalleryQuery


def float32(rows: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.asarray(rows, dtype=np.float32)


def blobs(classes: int, each: int, *, spread: float, seed: int = 0) -> tuple[npt.NDArray[np.float32], list[str]]:
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(classes, 8), each, axis=0)
    rows = float32(unit(centres + rng.normal(0, spread, size=centres.shape)))
    return rows, [f"class {row // each}" for row in range(classes * each)]


def test_a_score_is_a_mean_over_seeds() -> None:
    score = Score((0.2, 0.4))
    assert (score.mean, score.std) == pytest.approx((0.3, 0.1))
    assert Score((0.7,)).std == 0


def test_r_is_the_papers_and_has_the_criterions_options() -> None:
    rng = np.random.default_rng(0)
    images, words = float32(unit(rng.normal(size=(6, 4)))), float32(unit(rng.normal(size=(9, 4))))
    criterion = Criterion("colour", [f"word {each}" for each in range(9)], preset="paper")
    found = represent(images, criterion, words)
    assert found == pytest.approx(images @ words.T, abs=1e-6)
    assert unit_or_zero(found) @ unit_or_zero(found).T == pytest.approx(conditional_cosines(images, words), abs=1e-6)
    centred = represent(images, Criterion("colour", criterion.words, preset="centred"), words)
    assert centred == pytest.approx(images @ (words - words.mean(axis=0)).T, abs=1e-6)
    assert unit_or_zero(float32([[0, 0], [3, 4]])).tolist() == [[0, 0], pytest.approx([0.6, 0.8])]


def test_words_are_embedded_once_and_as_given() -> None:
    colours = Criterion("colour", ["red", "blue"])
    assert embed_words(colours, ColourEncoder()) == pytest.approx(unit([[1, 0, 0, 0.5], [0, 0, 1, 0.5]]))
    own = Criterion("colour", ["red", "blue"], embeddings=np.eye(2, 5))
    assert embed_words(own, ColourEncoder()).tolist() == np.eye(2, 5).tolist()

    class Broken(ColourEncoder):
        def encode_texts(self, texts: Any) -> npt.NDArray[np.float64]:
            return np.zeros((len(texts), 4))

    with pytest.raises(EncoderError, match=r"encoder 'colours' cannot be used: .* zeros"):
        embed_words(colours, Broken())


def test_words_in_several_prompts_are_averaged_as_in_a_collection() -> None:
    class Prompted(ColourEncoder):
        def encode_texts(self, texts: Any) -> npt.NDArray[np.float64]:
            return super().encode_texts(texts) + np.array([[0, 0, 0, "photo" in text] for text in texts])

    colours = Criterion("colour", ["red", "green", "blue"], prompt=["a {} thing", "photo of a {} thing"])
    found = embed_words(colours, Prompted())
    assert found.shape == (3, 4)
    with CRLCollection.create("products", location=":memory:", encoder=Prompted()) as products:
        assert found == pytest.approx(products.define(colours).embeddings, abs=1e-6)


def test_clusters_of_separable_classes_are_the_classes() -> None:
    rows, labels = blobs(4, 20, spread=0.05)
    found = cluster(rows, labels, seeds=range(3))
    assert list(found.scores) == ["NMI", "ACC", "ARI"]
    assert all(len(score.values) == 3 for score in found.scores.values())
    assert max(found.scores["ACC"].values) == 1.0  # k-means may also end in a poor local optimum
    assert len(found.clusters) == 80
    shuffled = np.random.default_rng(1).permutation(labels).tolist()
    assert cluster(rows, shuffled, seeds=range(3)).scores["NMI"].mean < 0.15
    assert cluster(rows, labels, seeds=[2]).agreements[0] == found.agreements[2]
    with pytest.raises(InputError, match="80 rows and 79 labels"):
        cluster(rows, labels[:-1])
    with pytest.raises(InputError, match="at least one seed"):
        cluster(rows, labels, seeds=[])


def test_three_ways_of_scaling() -> None:
    rows = float32([[1, 2, 3], [5, 5, 8]])
    # all six have mean 4; the rows' deviations are √(2/3) and √2
    assert rescale(rows, "code") == pytest.approx(
        np.array([np.array([-3, -2, -1]) / (2 / 3) ** 0.5, [2**-0.5, 2**-0.5, 4 / 2**0.5]])
    )
    assert rescale(rows, "paper").tolist() == [[-1, -1, -1], [1, 1, 1]]
    assert rescale(rows, "unit") == pytest.approx(unit(rows))
    assert np.isfinite(rescale(np.ones((3, 2), dtype=np.float32), "code")).all()
    assert np.isfinite(rescale(np.ones((3, 2), dtype=np.float32), "paper")).all()
    with pytest.raises(InputError, match="one of code, paper, unit, got 'none'"):
        rescale(rows, "none")


def test_few_shots_are_drawn_for_each_class_and_the_rest_is_tested() -> None:
    rows, labels = blobs(3, 12, spread=0.25)
    found = few_shot(rows, labels, shots=[1, 4], seeds=range(3))
    assert {number: len(score.values) for number, score in found.items()} == {1: 3, 4: 3}
    assert found[4].mean > found[1].mean > 0.4
    # written another way for one seed: every class's images in turn, as many as there are shots
    rng, values = np.random.default_rng(2), np.array(labels)
    train = np.concatenate(
        [rng.choice(np.flatnonzero(values == each), 4, replace=False) for each in sorted(set(labels))]
    )
    test = np.setdiff1d(np.arange(36), train)
    model = LogisticRegression(max_iter=1000).fit(rows[train], values[train])
    assert abs(found[4].values[2] - model.score(rows[test], values[test])) < 1e-12
    assert few_shot(rows, labels, shots=[4], seeds=[2])[4].values[0] == found[4].values[2]
    with pytest.raises(InputError, match="12 shots need more images of every class; 'class 0' has 12"):
        few_shot(rows, labels, shots=[1, 12])


def test_attribute_precision_is_scikit_learns_and_zero_without_an_answer() -> None:
    rng = np.random.default_rng(4)
    queries, candidates = (float32(unit(rng.normal(size=(number, 5)))) for number in (300, 70))
    wanted, values = rng.integers(0, 6, size=300), rng.integers(0, 5, size=70)  # no candidate has value 5
    expected = [
        average_precision_score(values == value, candidates @ query) if value < 5 else 0.0
        for query, value in zip(queries, wanted, strict=True)
    ]
    assert 0.0 in expected
    assert attribute_precision(queries, wanted, candidates, values) == pytest.approx(np.mean(expected), abs=1e-6)


def test_reduced_words_are_scikit_learns_principal_components() -> None:
    words = float32(unit(np.random.default_rng(6).normal(size=(12, 40)) + 0.3))
    found = reduced_words(words, 5)
    theirs = PCA(n_components=5, svd_solver="full").fit_transform(words.T.astype(np.float64)).T
    assert found.shape == (5, 40)
    assert np.abs(found) == pytest.approx(np.abs(theirs), abs=1e-5)  # the sign of a component means nothing
    assert reduced_words(words, 12) is words
    # uncut, the inner products are those of words without their own means
    whole = reduced_words(words, 11).astype(np.float64)
    own = words.astype(np.float64) - words.mean(axis=1, keepdims=True)
    smallest = np.linalg.svd(own)[1][-1] ** 2
    assert np.abs(whole.T @ whole - own.T @ own).max() <= smallest + 1e-6


@pytest.mark.parametrize("normalize", [True, False])
def test_galleries_are_ranked_by_the_papers_score(normalize: bool) -> None:
    rng = np.random.default_rng(8)
    images, conditional = float32(unit(rng.normal(size=(30, 6)))), float32(unit(rng.normal(size=(30, 4))))
    conditions = {"red": float32(unit(rng.normal(size=(5, 6))))}
    queries = [GalleryQuery("red", int(row), int(row) + 1, (20, 21, 22, 23, 24)) for row in range(12)]
    found = gallery_ranks(queries, images, conditional, conditions, normalize=normalize)
    for number, query in enumerate(queries):
        first = [float(np.mean([image @ text for text in conditions["red"]])) for image in images[[*query.candidates]]]
        second = [float(row @ conditional[query.reference]) for row in conditional[[*query.candidates]]]
        if normalize:
            first, second = unit(first).tolist(), unit(second).tolist()
        total = [a + 10 * b for a, b in zip(first, second, strict=True)]
        assert found["CRL"][number] == sum(each > total[0] for each in total[1:])
        near = [float(row @ images[query.reference]) for row in images[[*query.candidates]]]
        assert found["image"][number] == sum(each > near[0] for each in near[1:])
        assert found["text"][number] == sum(each > first[0] for each in first[1:])
    assert set(found) == {"image", "text", "image + text", "raw", "CRL"}


def test_a_gallery_of_one_picture_is_all_misses() -> None:
    images = np.ones((4, 1), dtype=np.float32)
    conditions = {"red": np.ones((5, 1), dtype=np.float32)}
    found = gallery_ranks([GalleryQuery("red", 0, 1, (2, 3))], images, images, conditions)
    assert all(ranks == [2] for ranks in found.values())


def test_a_condition_is_read_in_five_places() -> None:
    texts = condition_texts("red mug")
    assert texts[0] == "a photo with a red mug on the left"
    assert len(set(texts)) == 5
