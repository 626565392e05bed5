"""The projection against the paper's formula, computed as it is written, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import conditional_cosines, unit

from crl_qdrant.projection import conditional_representation, cosine_similarity, projection_matrix, top_k

RNG = np.random.default_rng(7)


def crowded(rows: int, columns: int) -> np.ndarray:
    """Unit rows that share a large mean, as CLIP's do."""
    return unit(RNG.normal(size=(rows, columns)) / np.sqrt(columns) + 1.5 * unit(RNG.normal(size=columns)))


WORDS = RNG.normal(size=(12, 64))
TEXTS = {
    "random": unit(RNG.normal(size=(20, 64))),
    "crowded": crowded(20, 64),
    "duplicate words": unit(np.concatenate([WORDS, WORDS, WORDS[:3] + 1e-7])),
    "more words than dimensions": crowded(200, 64),
    "one word": unit(RNG.normal(size=(1, 64))),
}


def similarities(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    projection = projection_matrix(torch.tensor(texts, dtype=torch.float32))
    representation = conditional_representation(torch.tensor(images, dtype=torch.float32), projection)
    return cosine_similarity(representation, representation).numpy()


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("images", [unit(RNG.normal(size=(300, 64))), crowded(300, 64)], ids=["random", "crowded"])
def test_same_cosines_and_ranking_as_the_formula(images: np.ndarray, texts: np.ndarray) -> None:
    expected, found = conditional_cosines(images, texts), similarities(images, texts)
    assert np.abs(found - expected).max() <= 1e-5
    for row in range(len(images)):
        order = np.argsort(-found[row], kind="stable")
        # the same ranking, but for cosines that float32 cannot tell apart
        assert np.all(np.diff(expected[row][order]) <= 1e-6)


def test_same_on_real_embeddings(fashion: dict) -> None:
    for texts in fashion["texts"].values():
        expected, found = (f(fashion["embeddings"].astype(float), texts) for f in (conditional_cosines, similarities))
        assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize(
    ("name", "rank"), [("random", 20), ("duplicate words", 12), ("more words than dimensions", 64)]
)
def test_rank_is_that_of_the_texts(name: str, rank: int) -> None:
    assert projection_matrix(torch.tensor(TEXTS[name])).shape == (64, rank)


def test_hand_worked_case() -> None:
    # two orthogonal words: R is the first two coordinates, so [3, 4, x] and [4, 3, y] have cosine 24/25
    texts = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    images = torch.tensor([[3.0, 4.0, 12.0], [4.0, 3.0, -7.0]])
    first, second = conditional_representation(images, projection_matrix(texts))
    assert cosine_similarity(first, second[None]).item() == pytest.approx(24 / 25, abs=1e-6)


def test_weighting_is_the_exponent_of_the_singular_values() -> None:
    texts = torch.tensor(TEXTS["random"])
    basis = projection_matrix(texts, weighting=0)
    assert torch.allclose(basis.T @ basis, torch.eye(20), atol=1e-5)
    # p = -1 is the pseudo-inverse: I T⁺ has the same cosines
    images = torch.tensor(unit(RNG.normal(size=(50, 64))))
    inverse = unit((images @ torch.linalg.pinv(texts)).numpy())
    found = conditional_representation(images.float(), projection_matrix(texts, weighting=-1))
    assert np.abs(found.numpy() @ found.numpy().T - inverse @ inverse.T).max() <= 1e-5


def test_centring_takes_the_mean_text_out() -> None:
    texts, images = TEXTS["crowded"], unit(RNG.normal(size=(50, 64)))
    centred = texts - texts.mean(axis=0)
    expected = unit(images @ centred.T) @ unit(images @ centred.T).T
    projection = projection_matrix(torch.tensor(texts), center=True)
    found = conditional_representation(torch.tensor(images, dtype=torch.float32), projection).numpy()
    assert projection.shape == (64, 19)
    assert np.abs(found @ found.T - expected).max() <= 1e-5


def test_energy_keeps_the_fewest_directions_that_hold_it() -> None:
    texts = torch.diag(torch.tensor([3.0, 2.0, 1.0]))  # energies 9, 4, 1 of 14
    assert projection_matrix(texts, energy=9 / 14).shape[1] == 1
    assert projection_matrix(texts, energy=10 / 14).shape[1] == 2
    assert projection_matrix(texts, energy=13.5 / 14).shape[1] == 3


def test_centring_one_text_leaves_nothing() -> None:
    assert projection_matrix(torch.tensor(TEXTS["one word"]), center=True).shape == (64, 0)


def test_half_precision_is_projected_in_float32() -> None:
    images = torch.tensor(TEXTS["random"], dtype=torch.float16)
    projection = projection_matrix(torch.tensor(TEXTS["crowded"]))
    found = conditional_representation(images, projection)
    assert found.dtype == torch.float32
    assert torch.equal(found, conditional_representation(images.float(), projection))


def test_an_image_outside_the_words_is_a_row_of_zeros() -> None:
    texts = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert not conditional_representation(torch.tensor([0.0, 0.0, 1.0]), projection_matrix(texts)).any()


def test_top_k_keeps_the_order_of_ties_and_never_asks_for_too_many() -> None:
    values, positions = top_k(torch.tensor([0.5, 0.9, 0.5, 0.9, 0.1]), 4)
    assert positions.tolist() == [1, 3, 0, 2]
    assert values.tolist() == pytest.approx([0.9, 0.9, 0.5, 0.5])
    assert top_k(torch.tensor([1.0]), 5)[1].tolist() == [0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_the_same() -> None:
    images, texts = torch.tensor(crowded(300, 64)).float(), torch.tensor(TEXTS["crowded"])
    on_cpu = conditional_representation(images, projection_matrix(texts))
    on_gpu = conditional_representation(images.cuda(), projection_matrix(texts.cuda()))
    assert torch.allclose(on_cpu @ on_cpu.T, (on_gpu @ on_gpu.T).cpu(), atol=1e-5)
