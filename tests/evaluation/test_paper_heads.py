"""The paper's heads for fashion retrieval and the fine-tuning behind them, in small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from fakes import unit

import crl_qdrant.demo
from crl_qdrant import InputError, StoreError
from crl_qdrant.common.progress import Advance
from crl_qdrant.demo.products import ATTRIBUTES, sample_products
from crl_qdrant.demo.render import render
from crl_qdrant.evaluation.attribute_retrieval import attribute_precision
from crl_qdrant.evaluation.fine_tuning import fine_tune, STAGE_2
from crl_qdrant.evaluation.heads import Labelled, STAGE_1, train_paper_heads
from crl_qdrant.projection.checkpoint import Checkpoint
from crl_qdrant.projection.on_device import conditional_representation, Head, Projection

RNG = np.random.default_rng(3)


def items(number: int, *, values: int, seed: int) -> Labelled:
    """Items whose value shows in two of their ten numbers, among noise that is larger."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(values, size=number)
    rows = rng.normal(size=(number, 10))
    rows[:, :2] = 0.7 * rows[:, :2] + np.stack([np.cos(chosen), np.sin(chosen)], axis=1)
    return Labelled(unit(rows).astype(np.float32), chosen)


def test_the_settings_are_the_papers() -> None:
    first = (STAGE_1.out, STAGE_1.hidden, STAGE_1.epochs, STAGE_1.triplets, STAGE_1.batch_size, STAGE_1.learning_rate)
    assert first == (1024, None, 1000, 100_000, 256, 1e-4)
    second = (STAGE_2.epochs, STAGE_2.batch_size, STAGE_2.learning_rate)
    assert second == (100, 32, 1e-6)
    for stage, seed in ((STAGE_1, 4), (STAGE_2, 0)):
        assert (stage.margin, stage.decay_every, stage.decay, stage.seed, stage.patience) == (0.3, 3, 0.9, seed, None)


def test_heads_of_several_attributes_are_trained_together() -> None:
    train = {"shape": items(300, values=3, seed=1), "style": items(200, values=5, seed=2)}
    queries = {"shape": items(40, values=3, seed=3), "style": items(20, values=5, seed=4)}
    candidates = {"shape": items(120, values=3, seed=5), "style": items(120, values=5, seed=6)}
    quick = replace(STAGE_1, epochs=4, triplets=2000, learning_rate=2e-3, out=64)
    heads, measured = train_paper_heads(train, queries, candidates, settings=quick)
    assert {name: tuple(head.hidden_weight.shape) for name, head in heads.items()} == dict.fromkeys(train, (10, 37))
    with_heads, without = [], []
    for name, head in heads.items():
        wanted, ranked = queries[name], candidates[name]
        given = [head(torch.from_numpy(each.representations)).numpy() for each in (wanted, ranked)]
        with_heads.append(attribute_precision(given[0], wanted.values, given[1], ranked.values))
        without.append(
            attribute_precision(wanted.representations, wanted.values, ranked.representations, ranked.values)
        )
    assert measured == pytest.approx((40 * with_heads[0] + 20 * with_heads[1]) / 60)
    assert all(head > free + 0.05 for head, free in zip(with_heads, without, strict=True))


def test_training_that_was_stopped_goes_on(tmp_path: Path) -> None:
    train = {"shape": items(120, values=3, seed=1)}
    quick = replace(STAGE_1, epochs=4, triplets=600, out=16)
    given = train, {"shape": items(20, values=3, seed=3)}, {"shape": items(40, values=3, seed=5)}

    def checkpoint() -> Checkpoint:
        return Checkpoint(tmp_path / "state" / "heads.pt", {"on": "shapes"})

    heads, measured = train_paper_heads(*given, settings=quick)

    def stop(items: int, total: int | None = None) -> None:
        steps.append(items)
        if len(steps) == 5:  # in the second epoch of three steps
            raise KeyboardInterrupt

    steps: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train_paper_heads(*given, settings=quick, advance=stop, checkpoint=checkpoint())
    again, found = train_paper_heads(*given, settings=quick, advance=stop, checkpoint=checkpoint())
    assert steps == [1] * 5 + [3] + [1] * 9
    assert found == measured
    assert all(torch.equal(one, other) for one, other in zip(heads["shape"], again["shape"], strict=True))
    # finished: nothing is trained; of another training: all of it
    train_paper_heads(*given, settings=quick, advance=stop, checkpoint=checkpoint())
    other = Checkpoint(tmp_path / "state" / "heads.pt", {"on": "colours"})
    train_paper_heads(*given, settings=quick, advance=stop, checkpoint=other)
    assert steps[15:] == [12] + [1] * 12
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["heads.pt"]


def test_a_checkpoint_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "heads.pt"
    file.write_bytes(b"nothing of torch's")
    with pytest.raises(StoreError, match="delete it to start over"):
        Checkpoint(file, {}).load(torch.device("cpu"))
    with pytest.raises(StoreError, match="cannot be written"):
        Checkpoint(file / "below", {}).save({})


def test_an_attribute_that_cannot_be_trained_on() -> None:
    good = items(30, values=3, seed=1)
    for values in (np.zeros(30, dtype=np.int64), np.arange(30)):
        with pytest.raises(InputError, match="attribute 'style' needs two values"):
            train_paper_heads({"shape": good, "style": Labelled(good.representations, values)}, {}, {})


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Pictures of the demo as its model takes them, and their attributes' values."""
    products = sample_products(30, seed=9)
    transform = open_clip.image_transform(64, is_train=False)
    values = {
        name: np.array([list(each).index(getattr(product, name)) for product in products])
        for name, each in ATTRIBUTES.items()
    }
    return torch.stack([transform(render(product, size=64)) for product in products]), values


def model() -> Any:
    return open_clip.create_model(f"local-dir:{Path(str(crl_qdrant.demo.__file__)).parent / 'model'}").eval()


def projection(width: int = 6) -> Projection:
    """Few random directions and a random head: much for the image tower to make up for."""
    rng = np.random.default_rng(1)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.tensor(rng.normal(size=shape) / np.sqrt(shape[0]), dtype=torch.float32)

    head = Head(tensor(width, 12), torch.zeros(12), tensor(12, 8), torch.zeros(8))
    return Projection(tensor(128, width), torch.zeros(width), torch.eye(width), head=head)


def test_only_the_image_tower_is_trained_and_the_loss_goes_down(
    pictures: tuple[torch.Tensor, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    pixels, values = pictures
    tuned, projections = model(), {"colour": projection(), "count": projection(7)}
    before = {name: weight.clone() for name, weight in tuned.state_dict().items()}
    heads = [each.clone() for one in projections.values() for each in one.head or ()]
    quick = replace(STAGE_2, epochs=3, triplets=48, batch_size=16, learning_rate=3e-4)
    steps: list[int] = []
    positions = np.arange(12)
    losses = fine_tune(
        tuned,
        lambda rows: pixels[torch.from_numpy(rows)],
        {name: (positions, values[name][positions]) for name in projections},
        projections,
        settings=quick,
        advance=lambda number, total=None: steps.append(total or 0),
    )
    assert steps == [9] * 9
    assert losses[-1] < 0.5 * losses[0], losses  # 0.34 and 0.12 were measured
    changed = {name for name, weight in tuned.state_dict().items() if not torch.equal(weight, before[name])}
    assert all(name.startswith("visual.") for name in changed)
    assert changed >= {name for name, _ in tuned.named_parameters() if name.startswith("visual.")}
    after = [each for one in projections.values() for each in one.head or ()]
    assert all(torch.equal(one, other) for one, other in zip(heads, after, strict=True))
    assert not tuned.training

    # the checkpoint is one that open_clip loads
    torch.save(tuned.state_dict(), tmp_path / "tuned.pt")
    again = model()
    open_clip.load_checkpoint(again, str(tmp_path / "tuned.pt"))
    with torch.inference_mode():
        assert torch.equal(again.encode_image(pixels[:4]), tuned.encode_image(pixels[:4]))


def test_the_best_epoch_is_kept(pictures: tuple[torch.Tensor, dict[str, np.ndarray]]) -> None:
    pixels, values = pictures
    tuned, seen = model(), list[torch.Tensor]()
    measured = iter([0.2, 0.9, 0.5])
    only = projection()

    def measure() -> float:
        with torch.inference_mode():
            seen.append(conditional_representation(tuned.encode_image(pixels[:4]), only))
        return next(measured)

    fine_tune(
        tuned,
        lambda rows: pixels[torch.from_numpy(rows)],
        {"colour": (np.arange(30), values["colour"])},
        {"colour": only},
        settings=replace(STAGE_2, epochs=3, triplets=8, batch_size=8, learning_rate=1e-3),
        measure=measure,
    )
    with torch.inference_mode():
        after = conditional_representation(tuned.encode_image(pixels[:4]), only)
    assert torch.allclose(after, seen[1], atol=1e-6)
    assert not torch.allclose(after, seen[2], atol=1e-3)


def test_fine_tuning_that_was_stopped_goes_on(
    pictures: tuple[torch.Tensor, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    pixels, values = pictures
    quick = replace(STAGE_2, epochs=3, triplets=8, batch_size=4, learning_rate=1e-3)
    rows = np.arange(30)

    def tune(advance: Advance, checkpoint: Checkpoint | None) -> tuple[Any, list[float]]:
        tuned = model()
        losses = fine_tune(
            tuned,
            lambda chosen: pixels[torch.from_numpy(chosen)],
            {"colour": (rows, values["colour"])},
            {"colour": projection()},
            settings=quick,
            advance=advance,
            checkpoint=checkpoint,
        )
        return tuned, losses

    steps: list[int] = []

    def stop(items: int, total: int | None = None) -> None:
        steps.append(items)
        if len(steps) == 5:  # in the third epoch
            raise KeyboardInterrupt

    wanted, losses = tune(lambda items, total=None: None, None)
    with pytest.raises(KeyboardInterrupt):
        tune(stop, Checkpoint(tmp_path / "tuning.pt", {}))
    tuned, found = tune(stop, Checkpoint(tmp_path / "tuning.pt", {}))
    assert steps == [1, 1, 1, 1, 1, 4, 1, 1]
    assert found == losses
    weights = tuned.state_dict()
    assert all(torch.equal(each, weights[name]) for name, each in wanted.state_dict().items())


def test_half_precision_is_refused() -> None:
    with pytest.raises(InputError, match='precision="fp32"'):
        fine_tune(model().half(), lambda rows: torch.empty(0), {}, {})
