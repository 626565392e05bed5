"""The projection against the paper's formula, computed as it is written, in float64."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fakes import by_words, conditional_cosines, unit

from crl_qdrant.projection.build import build_projection, knee, leading_directions
from crl_qdrant.projection.on_device import conditional_representation, cosine_similarity, on_device, Projection
from crl_qdrant.projection.options import Options, PRESETS
from crl_qdrant.projection.stored import StoredProjection

RNG = np.random.default_rng(7)


def crowded(rows: int, columns: int) -> np.ndarray:
    """Unit rows that share a large mean, as CLIP's do."""
    return unit(RNG.normal(size=(rows, columns)) / np.sqrt(columns) + 1.5 * unit(RNG.normal(size=columns)))


PAPER = PRESETS["paper"]
WORDS = RNG.normal(size=(12, 64))
TEXTS = {
    "random": unit(RNG.normal(size=(20, 64))),
    "crowded": crowded(20, 64),
    "duplicate words": unit(np.concatenate([WORDS, WORDS, WORDS[:3] + 1e-7])),
    "more words than dimensions": crowded(200, 64),
    "one word": unit(RNG.normal(size=(1, 64))),
}


def without_images(**options: Any) -> Options:
    """Options that differ from the former default's, which looked at no image."""
    return replace(PRESETS["default-0.1"], **options)


def built(texts: Any, options: Options, **more: Any) -> Projection:
    return on_device(build_projection(np.asarray(texts), options, **more))


def similarities(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    projection = built(torch.tensor(texts, dtype=torch.float32), PAPER)
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
    assert built(torch.tensor(TEXTS[name]), PAPER).matrix.shape == (64, rank)


def test_hand_worked_case() -> None:
    # two orthogonal words: R is the first two coordinates, so [3, 4, x] and [4, 3, y] have cosine 24/25
    texts = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    images = torch.tensor([[3.0, 4.0, 12.0], [4.0, 3.0, -7.0]])
    first, second = conditional_representation(images, built(texts, PAPER))
    assert cosine_similarity(first, second[None]).item() == pytest.approx(24 / 25, abs=1e-6)


def numpy_twin(projection: Projection) -> StoredProjection:
    arrays = (each.numpy() for each in (projection.matrix, projection.offset, projection.words))
    return StoredProjection(*arrays, projection.sharpen, projection.blend)


@pytest.mark.parametrize("texts", ["crowded", "random", "more words than dimensions"])
@pytest.mark.parametrize(
    "options",
    [
        {"center": True, "sharpen": 0.5},
        {"center": True, "sharpen": 1.0, "blend": 1.0},
        {"center": True, "sharpen": 0.5, "blend": 0.3, "weighting": 0.0},
        {"center": False, "sharpen": 2.0},
        {"center": True, "sharpen": 0.0},
        {"center": False, "sharpen": 0.0, "weighting": 0.5},
    ],
    ids=str,
)
def test_options_are_what_the_docs_say(texts: str, options: dict) -> None:
    images = crowded(200, 64)
    expected = by_words(images, TEXTS[texts], **options)
    made = built(
        torch.tensor(TEXTS[texts]), without_images(**options | {"center": "text" if options["center"] else "none"})
    )
    found = conditional_representation(torch.tensor(images, dtype=torch.float32), made).numpy()
    assert np.abs(found @ found.T - expected @ expected.T).max() <= 2e-5
    # in NumPy, in either precision, and by words
    for kind, close in ((np.float32, 2e-5), (np.float64, 2e-6)):
        twin = numpy_twin(made)
        assert np.abs(twin.represent(images.astype(kind)) - found).max() <= 2e-5
        rows = twin.represent(images.astype(kind))
        assert rows.shape[1] == twin.rank == made.rank
        assert np.abs(twin.by_words(rows).reshape(len(rows), -1) - expected).max() <= close


SHARES: dict[str, dict[str, Any]] = {
    "shares": {"sharpen": 0.4, "blend": 0.3},
    "the sharpened form alone": {"sharpen": "auto", "blend": 1},
    "similarities": {"sharpen": 0},
    "auto": {"sharpen": "auto", "blend": "auto"},
}


@pytest.mark.parametrize("texts", ["crowded", "duplicate words", "more words than dimensions"])
@pytest.mark.parametrize("dimensions", [None, 12])
@pytest.mark.parametrize("rest", [0, 0.4, "auto"])
@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("center", ["none", "text", "both"])
def test_numpy_and_torch_are_one_formula(
    texts: str, dimensions: int | None, rest: float | str, shares: dict[str, Any], center: Any
) -> None:
    images = crowded(300, 64)
    options = Options(center=center, rest=rest, dimensions=dimensions, **shares)  # type: ignore[arg-type]
    stored = build_projection(TEXTS[texts], options, images=images)
    read = StoredProjection.from_entry(json.loads(json.dumps(stored.to_entry())), dimension=64)
    assert (read.key, read.lift, read.awaits_images) == (stored.key, stored.lift, False)
    single, double = (read.represent(images.astype(kind)) for kind in (np.float32, np.float64))
    projection = on_device(read)
    in_torch = conditional_representation(torch.tensor(images, dtype=torch.float32), projection).numpy()
    assert in_torch.shape == single.shape == (300, read.rank) == (300, projection.rank)
    assert read.rank <= (dimensions or 1000)
    assert np.abs(single - double).max() <= 2e-5
    assert np.abs(in_torch - double).max() <= 2e-5
    assert np.allclose(np.linalg.norm(double, axis=1), 1.0)
    # by words and without them, the cosine adds up; the same for what is linear in representations
    words, others = read.by_words(double).reshape(300, -1), read.without_words(double)
    assert np.abs(words @ words.T + others @ others.T - double @ double.T).max() <= 1e-6
    assert others.shape == (300, 64 if read.rest else 0)
    if dimensions is None:  # then nothing is lost
        assert np.abs(read.words_of(images).reshape(300, -1) - words).max() <= 1e-6


def test_the_cosine_is_the_weighted_mean_of_three() -> None:
    images = crowded(300, 64)
    options = Options(sharpen=0.7, blend=0.25, rest=0.4, dimensions=None)
    found = build_projection(TEXTS["random"], options, images=images).represent(images)
    plain = unit(images - images.mean(axis=0))
    rows = by_words(images, TEXTS["random"], sharpen=0.7, blend=0.25)
    assert np.abs(found @ found.T - 0.6 * rows @ rows.T - 0.4 * plain @ plain.T).max() <= 1e-5


def test_auto_takes_more_of_the_words_where_they_tell_more_of_the_images() -> None:
    words = TEXTS["random"] - TEXTS["random"].mean(axis=0)
    noise = RNG.normal(size=(400, 64))
    unrelated = build_projection(TEXTS["random"], Options(), images=unit(noise))
    told = build_projection(TEXTS["random"], Options(), images=unit(RNG.normal(size=(400, 20)) @ words + 0.02 * noise))
    assert unrelated.lift == pytest.approx(1, abs=0.2)  # as chance has it
    assert (unrelated.blend, unrelated.rest) == pytest.approx((0.2, 0.6), abs=0.04)
    assert told.lift is not None
    assert told.lift > 2
    assert told.blend == pytest.approx(told.lift / (told.lift + 4))
    assert told.blend > unrelated.blend
    assert told.rest < unrelated.rest
    # taking out directions, only for the plain image to bring them back, would be no use
    away = leading_directions([TEXTS["crowded"]], 2)
    suppressed = build_projection(TEXTS["random"], Options(suppress=["cut"]), images=unit(noise), suppressed=away)
    assert suppressed.rest == 0


def test_the_automatic_temperature_lets_the_top_word_stand_out_alike() -> None:
    def top(number: int) -> float:
        temperature = build_projection(np.eye(number), Options(rank=1)).sharpen
        return float(np.random.default_rng(0).normal(size=(200, number)).max(axis=1).mean() / temperature)

    assert build_projection(np.eye(123), Options()).sharpen == pytest.approx(1)
    heights = [top(number) for number in (12, 123, 600)]
    assert max(heights) < 1.25 * min(heights)  # at one temperature the first would be half of the last


def test_without_enough_images_the_words_take_their_place() -> None:
    texts, images = TEXTS["more words than dimensions"], crowded(256, 64)
    empty, few, enough = (build_projection(texts, Options(), images=rows) for rows in (None, images[:255], images))
    assert empty.key == few.key != enough.key
    assert (empty.blend, empty.rest, empty.lift) == (0.5, 0, None)
    assert (empty.rank, enough.rank) == (64, 64)
    assert (empty.awaits_images, few.awaits_images, enough.awaits_images) == (True, True, False)
    # nothing waits for images that would change nothing
    assert not build_projection(texts, PRESETS["paper"]).awaits_images
    assert not build_projection(texts[:20], Options(sharpen=0.5, blend=0.5, rest=0)).awaits_images


def test_what_is_kept_is_closest_to_the_whole() -> None:
    """No other 10 directions leave the sample's representations as much of their length."""
    images = crowded(300, 64)
    whole, small = (
        build_projection(TEXTS["crowded"], Options(rest=0, dimensions=number), images=images) for number in (None, 10)
    )
    rows = whole.represent(images)
    assert small.compression is not None
    kept = np.square(rows @ small.compression).sum()
    best = np.square(np.linalg.svd(rows)[1])[:10].sum()
    assert kept == pytest.approx(best)
    assert np.allclose(small.compression.T @ small.compression, np.eye(10), atol=1e-6)


def test_a_softmax_at_the_least_temperature_is_a_number() -> None:
    images = torch.tensor(crowded(20, 64), dtype=torch.float32)
    for blend in (0.5, 1.0):
        made = built(TEXTS["random"], without_images(sharpen=1e-6, blend=blend))
        assert conditional_representation(images, made).isfinite().all()
        assert np.isfinite(numpy_twin(made).represent(images.numpy())).all()


def test_hand_worked_softmax() -> None:
    # similarities 3, 1, -1 (mean 1, deviation 1.633) at temperature 0.5 become heights 3.674, 1.225, -1.225
    texts = torch.eye(3)
    made = built(texts, without_images(sharpen=0.5, blend=1))
    found = conditional_representation(torch.tensor([[3.0, 1.0, -1.0]]), made)
    weights = np.exp([3.674235, 1.224745, -1.224745])
    assert found[0].tolist() == pytest.approx((weights / np.linalg.norm(weights)).tolist(), abs=1e-6)
    # a scale of its own in every encoder: ten times the similarities are the same representation
    assert torch.allclose(found, conditional_representation(torch.tensor([[30.0, 10.0, -10.0]]), made))


def test_blended_cosines_are_weighted_means() -> None:
    texts, images = torch.tensor(TEXTS["random"]), torch.tensor(crowded(20, 64)).float()

    def cosines(**options: Any) -> torch.Tensor:
        rows = conditional_representation(images, built(texts, without_images(**options)))
        return rows @ rows.T

    blended = cosines(sharpen=0.7, blend=0.25)
    assert torch.allclose(blended, 0.75 * cosines(sharpen=0) + 0.25 * cosines(sharpen=0.7, blend=1), atol=1e-5)


def test_weighting_is_the_exponent_of_the_singular_values() -> None:
    texts = torch.tensor(TEXTS["random"])
    basis = built(texts, without_images(center="none", sharpen=0, weighting=0)).matrix
    assert torch.allclose(basis.T @ basis, torch.eye(20), atol=1e-5)
    # p = -1 is the pseudo-inverse: I T⁺ has the same cosines
    images = torch.tensor(unit(RNG.normal(size=(50, 64))))
    inverse = unit((images @ torch.linalg.pinv(texts)).numpy())
    made = built(texts, without_images(center="none", sharpen=0, weighting=-1))
    found = conditional_representation(images.float(), made)
    assert np.abs(found.numpy() @ found.numpy().T - inverse @ inverse.T).max() <= 1e-5


def test_centring_both_takes_the_mean_image_out_too() -> None:
    texts, images = TEXTS["crowded"], crowded(50, 64)
    expected = unit((images - images.mean(axis=0)) @ (texts - texts.mean(axis=0)).T)
    made = built(torch.tensor(texts), without_images(center="both", sharpen=0), images=images)
    found = conditional_representation(torch.tensor(images, dtype=torch.float32), made).numpy()
    assert made.rank == 19
    assert np.abs(found @ found.T - expected @ expected.T).max() <= 1e-5
    twin = numpy_twin(made).represent(images.astype(np.float32))
    assert np.abs(twin - found).max() <= 1e-5


def test_suppressing_takes_directions_out_of_the_images() -> None:
    texts, others, images = (unit(RNG.normal(size=(rows, 64))) for rows in (20, 9, 50))
    away = leading_directions([others[:4], others[4:]], 2)
    assert away.shape == (4, 64)
    first = np.linalg.svd(others[:4] - others[:4].mean(axis=0))[2][:2]
    assert np.allclose(first @ away.T @ away, first)  # they lie in the span
    purified = images - images @ away.T @ away
    made = built(torch.tensor(texts), without_images(sharpen=0), suppressed=away)
    expected = unit(purified @ (texts - texts.mean(axis=0)).T)
    found = conditional_representation(torch.tensor(images, dtype=torch.float32), made).numpy()
    assert np.abs(found @ found.T - expected @ expected.T).max() <= 1e-5


def test_the_tangent_form_is_clays_recipe() -> None:
    """As it is told: texts and rotated images through the logarithmic map at the mean text, then projected."""
    texts, images = crowded(30, 64), crowded(50, 64)
    mean = unit(texts.mean(axis=0))

    def logarithm(rows: np.ndarray) -> np.ndarray:
        cosine = rows @ mean
        angle = np.arccos(cosine)
        return (angle / np.sin(angle))[:, None] * (rows - cosine[:, None] * mean)

    def reflect(rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        normal = unit(end - start)
        return rows - 2 * (rows @ normal)[:, None] * normal

    start = unit(images.mean(axis=0))
    middle = unit(start + mean)
    moved = reflect(reflect(images, start, middle), middle, mean)
    assert np.allclose(reflect(reflect(start[None], start, middle), middle, mean), mean)
    tangent = logarithm(texts)
    directions = np.linalg.svd(tangent - tangent.mean(axis=0), full_matrices=False)[2][:12]
    expected = unit(logarithm(moved) @ directions.T)
    options = without_images(tangent=True, sharpen=0, weighting=0, rank=12)
    made = built(torch.tensor(texts), options, images=images)
    found = conditional_representation(torch.tensor(images, dtype=torch.float32), made).numpy()
    assert np.abs(found @ found.T - expected @ expected.T).max() <= 1e-5


def test_energy_and_rank_keep_leading_directions() -> None:
    texts = torch.diag(torch.tensor([3.0, 2.0, 1.0]))  # energies 9, 4, 1 of 14

    def rank(**options: Any) -> int:
        return built(texts, without_images(center="none", sharpen=0, **options)).rank

    assert (rank(energy=9 / 14), rank(energy=10 / 14), rank(energy=13.5 / 14)) == (1, 2, 3)
    assert (rank(rank=2), rank(rank=7), rank(rank=2, energy=9 / 14)) == (2, 3, 1)


def test_the_knee_is_where_the_spectrum_bends() -> None:
    assert knee(np.array([10.0, 9.8, 9.6, 9.4, 0.6, 0.5, 0.4, 0.3])) in (4, 5)
    assert knee(np.array([5.0, 1.0])) == 2


def test_centring_one_text_leaves_nothing() -> None:
    assert built(torch.tensor(TEXTS["one word"]), PRESETS["centred"]).matrix.shape == (64, 0)


def test_half_precision_is_projected_in_float32() -> None:
    images = torch.tensor(TEXTS["random"], dtype=torch.float16)
    projection = built(torch.tensor(TEXTS["crowded"]), PAPER)
    found = conditional_representation(images, projection)
    assert found.dtype == torch.float32
    assert torch.equal(found, conditional_representation(images.float(), projection))


def test_an_image_outside_the_words_is_a_row_of_zeros() -> None:
    texts = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    for options in (PAPER, PRESETS["default-0.1"]):
        made = built(texts, options)
        assert not conditional_representation(torch.tensor([[0.0, 0.0, 1.0]]), made).any()
        assert not numpy_twin(made).represent(np.array([[0.0, 0.0, 1.0]])).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_the_same() -> None:
    images, texts = torch.tensor(crowded(300, 64)).float(), torch.tensor(TEXTS["crowded"])
    on_cpu = conditional_representation(images, built(texts, PAPER))
    on_gpu = conditional_representation(images.cuda(), built(texts, PAPER).to(torch.device("cuda")))
    assert torch.allclose(on_cpu @ on_cpu.T, (on_gpu @ on_gpu.T).cpu(), atol=1e-5)
