"""Trained heads: what they compute, how they are trained, and their life in a collection."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import ColourEncoder, picture, unit
from qdrant_client import models

from crl_qdrant import Criterion, CriterionError, CRLCollection, HeadReport, InputError, NotFoundError
from crl_qdrant.analysis.average_precision import mean_average_precision
from crl_qdrant.projection.build import build_projection
from crl_qdrant.projection.on_device import conditional_representation, Head, on_device, Projection
from crl_qdrant.projection.options import Options
from crl_qdrant.projection.stored import StoredProjection
from crl_qdrant.projection.stored_head import StoredHead
from crl_qdrant.projection.training import _folded, _networks, train_heads
from crl_qdrant.projection.triplets import triplet_loss, Triplets, TripletSettings

RNG = np.random.default_rng(23)
QUICK: dict[str, Any] = {"epochs": 3, "out": 12}
LABELS = np.repeat(["short", "long", "wide"], 40).tolist()


def shop(location: Any) -> CRLCollection:
    """Three kinds of items that lie along directions of their own, and words that see little of it."""
    products = CRLCollection.create("products", location=location, dimension=16, device="cpu")
    rng = np.random.default_rng(2)
    kinds = np.repeat(rng.normal(size=(3, 16)), 40, axis=0)
    rows = kinds + rng.normal(scale=1.2, size=(120, 16)) + 1.0
    products.add(range(120), embeddings=rows, payloads=[{"cut": label, "n": n} for n, label in enumerate(LABELS)])
    products.define(Criterion("cut", list("abcdef"), embeddings=rng.normal(size=(6, 16)) + 1.0))
    return products


def some_head(width: int, hidden: int = 9, out: int = 5) -> StoredHead:
    shapes = ((width, hidden), (hidden,), (hidden, out), (out,))
    return StoredHead(*(RNG.normal(size=shape).astype(np.float32) for shape in shapes))


def both_forms() -> tuple[Projection, StoredProjection]:
    """One projection of seven words, without a head."""
    stored = build_projection(RNG.normal(size=(7, 16)), Options())
    return on_device(stored), stored


def nothing(items: int, total: int | None = None) -> None:
    """No progress bar."""


# ------------------------------------------------------------------------ what it computes


def test_both_forms_are_the_formula_and_a_row_of_zeros_stays_one() -> None:
    made, bare = both_forms()
    head = some_head(bare.width)
    stored = replace(bare, head=head)
    projection = replace(made, head=Head(*map(torch.tensor, head)))
    images = unit(RNG.normal(size=(20, 16)))
    z = bare.represent(images)
    w1, b1, w2, b2 = (each.astype(np.float64) for each in head)
    expected = unit(np.maximum(z @ w1 + b1, 0) @ w2 + b2)
    assert np.allclose(stored.represent(images), expected, atol=1e-12)
    assert np.allclose(stored.conditional(images), z)
    found = conditional_representation(torch.tensor(images, dtype=torch.float32), projection)
    assert np.allclose(found.numpy(), expected, atol=1e-5)
    assert stored.rank == projection.rank == found.shape[1] == 5
    assert stored.represent(images.astype(np.float32)).dtype == np.float32

    blank = np.zeros((1, 16), dtype=np.float32)
    assert not stored.represent(blank).any()
    assert not conditional_representation(torch.tensor(blank), projection).any()


def test_it_is_part_of_the_key_and_of_the_entry() -> None:
    _, bare = both_forms()
    every = [replace(bare, head=some_head(bare.width)) for _ in range(2)]
    assert len({bare.key, *(each.key for each in every)}) == 3
    back = StoredProjection.from_entry(json.loads(json.dumps(every[0].to_entry())), dimension=16)
    assert (back.key, back.rank, back.width) == (every[0].key, 5, bare.width)
    assert "head" not in bare.to_entry()


def test_batch_normalisation_is_folded_into_the_first_layer() -> None:
    (network,) = _networks([6], TripletSettings(out=4), torch.device("cpu"))
    assert network[0].out_features == 5  # (in + out) // 2, as in the paper
    rows = torch.tensor(RNG.normal(size=(50, 6)), dtype=torch.float32)
    network.train()
    for _ in range(20):
        network(3 * rows + 1)
    with torch.no_grad():
        network[1].weight.uniform_(0.5, 2.0)
        network[1].bias.uniform_(-1.0, 1.0)
    expected = torch.nn.functional.normalize(network.eval()(rows), dim=-1)
    assert torch.allclose(_folded(network)(rows), expected, atol=1e-5)


# --------------------------------------------------------------------------- how it is trained


def test_the_loss_by_hand() -> None:
    anchors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    positives = torch.tensor([[0.6, 0.8], [1.0, 0.0], [0.6, 0.8]])
    negatives = torch.tensor([[0.8, 0.6], [0.0, 1.0], [0.6, 0.8]])
    # 0.3 - 0.6 + 0.8, then 0.3 - 1 + 0 which is below zero, then 0.3 - 1 + 1
    assert float(triplet_loss(torch.stack([anchors, positives, negatives]), 0.3)) == pytest.approx(0.5 + 0.0 + 0.3)


def test_triplets_are_what_they_are_called_and_uniform() -> None:
    labels = [np.array([0, 0, 1, 1, 1, 2]), np.array([1, 0, 1, 0])]
    drawn = Triplets(labels).draw(6000, np.random.default_rng(0))
    assert np.bincount(drawn.attribute) == pytest.approx([3000, 3000], rel=0.1)
    for at, values in enumerate(labels):
        anchor, positive, negative = (each[drawn.attribute == at] for each in drawn[1:])
        assert (values[anchor] == values[positive]).all()
        assert (values[anchor] != values[negative]).all()
        assert (anchor != positive).all()
    first = drawn.attribute == 0
    # values are drawn uniformly, not items; the one that only one item has is never an anchor
    assert np.bincount(labels[0][drawn.anchor[first]]) == pytest.approx([1500, 1500], rel=0.15)
    assert np.bincount(labels[0][drawn.negative[first]], minlength=3) == pytest.approx([750, 750, 1500], rel=0.2)
    assert [len(batch.anchor) for batch in drawn.batches(2500)] == [2500, 2500, 1000]


def test_training_is_seeded_ends_early_and_keeps_the_best() -> None:
    rows, labels = torch.tensor(unit(RNG.normal(size=(30, 6))), dtype=torch.float32), np.arange(30) % 3
    measured = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.9])
    settings = TripletSettings(out=4, epochs=6, triplets=300, patience=3)
    training = train_heads([rows], [labels], settings, measure=lambda heads: next(measured), advance=nothing)
    assert (training.measure, training.best_epoch, len(training.losses)) == (0.5, 2, 5)

    def trained(seed: int) -> list[bytes]:
        quick = TripletSettings(out=4, epochs=2, triplets=300, seed=seed)
        (head,) = train_heads([rows], [labels], quick, measure=lambda heads: 1.0, advance=nothing).heads
        return [each.numpy().tobytes() for each in head]

    before = torch.random.get_rng_state()
    assert trained(1) == trained(1) != trained(2)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_trains_the_same_network() -> None:
    rows, labels = torch.tensor(unit(RNG.normal(size=(30, 6))), dtype=torch.float32), np.arange(30) % 3
    settings = TripletSettings(out=4, epochs=1, triplets=300)
    losses = []
    for device in ("cpu", "cuda"):
        training = train_heads([rows.to(device)], [labels], settings, measure=lambda heads: 1.0, advance=nothing)
        losses.append(training.losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_on_the_demo_it_beats_the_paper_without_training(demo_shop: dict[str, Any]) -> None:
    labels = [payload["pattern"] for payload in demo_shop["payloads"]]
    with CRLCollection.create("products", location=":memory:", dimension=128, device="cpu") as products:
        products.add(range(600), embeddings=demo_shop["embeddings"])
        products.define(demo_shop["criteria"]["pattern"].with_options("paper"))
        before, trained_on = _rows(products, "pattern"), range(400)
        report = products.train_head("pattern", {n: labels[n] for n in trained_on}, epochs=8, seed=0)
        after = _rows(products, "pattern")
    held_out = slice(400, 600)  # neither trained on nor used to choose the epoch
    free, head = (mean_average_precision(each[held_out], labels[held_out]) for each in (before, after))
    assert (report.kept, report.trained_on + report.validated_on, report.labels) == (True, 400, 8)
    assert report.raw < 0.6 < report.training_free < report.head
    assert head > free + 0.008, (free, head)  # 0.959 and 0.980 were measured


def _rows(products: CRLCollection, criterion: str) -> np.ndarray:
    ids, rows = products.representations(criterion)
    return rows[np.argsort(ids)]


# ------------------------------------------------------------------------- its life in a collection


def test_at_once_where_nothing_is_materialized(location: Any) -> None:
    products = shop(location)
    before = products.info().criteria[0]
    report = products.train_head("cut", "cut", **QUICK)
    after = products.info().criteria[0]
    assert isinstance(report, HeadReport)
    assert report.kept and report.head > report.training_free
    assert (report.trained_on, report.validated_on, report.labels, report.out) == (96, 24, 3, 12)
    assert 1 <= report.best_epoch <= report.epochs == 3
    assert (before.head, after.head, after.rank, after.pending) == (False, True, 12, False)
    assert before.fingerprint != after.fingerprint
    exactly = products.search(like=0, criterion="cut", limit=20)
    assert products.materialize("cut") == 120
    named = products.search(like=0, criterion="cut", limit=20)
    assert named.plan.strategy == "named"
    assert [hit.score for hit in named] == pytest.approx([hit.score for hit in exactly], abs=1e-3)
    products.close()
    if isinstance(location, Path):
        again = CRLCollection.open("products", location=location, device="cpu")
        assert again.info().criteria[0].fingerprint == after.fingerprint
        assert again.search(like=0, criterion="cut", limit=20)[0].id == named[0].id
        again.close()


def test_a_materialized_criterion_changes_over_when_it_is_built(location: Any) -> None:
    products = shop(location)
    products.materialize("cut")
    before = products.search(like=0, criterion="cut", limit=20)
    products.train_head("cut", dict(enumerate(LABELS)), **QUICK)
    waiting = products.info().criteria[0]
    assert (waiting.pending, waiting.head, waiting.vector) == (True, False, "crl_cut")
    assert [hit.id for hit in products.search(like=0, criterion="cut", limit=20)] == [hit.id for hit in before]
    products.define("cut")  # the same again is no change
    assert products.info().criteria[0].pending
    assert products.materialize("cut") == 120
    built = products.info().criteria[0]
    assert (built.pending, built.head, built.rank, built.points) == (False, True, 12, 120)
    assert built.vector != "crl_cut"
    after = products.search(like=0, criterion="cut", limit=20)
    assert [hit.id for hit in after] != [hit.id for hit in before]
    # points that come later go through the head
    products.add([500], embeddings=RNG.normal(size=(1, 16)))
    assert products.info().criteria[0].points == 121


def test_words_stay_those_in_front_of_it(location: Any) -> None:
    products = shop(location)
    words = products.describe(like=0, criterion="cut")
    names = products.cluster("cut", 3).names
    products.train_head("cut", "cut", **QUICK)
    assert products.describe(like=0, criterion="cut") == words
    assert all(set(name.split(", ")) <= set("abcdef") for name in products.cluster("cut", 3).names if names)
    assert len(products.few_shot("cut", {0: "short", 45: "long", 46: "long"}).labels) == 117
    with pytest.raises(InputError, match="criterion 'cut' has a trained head, and its cosines are no sums over words"):
        products.search(like=0, criterion="cut", explain=True)


def test_what_takes_it_away() -> None:
    products = shop(":memory:")
    bare = products.info().criteria[0].fingerprint
    products.train_head("cut", "cut", **QUICK)
    products.define("cut")
    assert products.info().criteria[0].head  # the same again is no change
    products.define("cut", preset="paper")
    assert not products.info().criteria[0].head
    products.define("cut", preset="default")
    products.train_head("cut", "cut", **QUICK)
    products.materialize("cut")
    products.drop_head("cut")
    assert (products.info().criteria[0].head, products.info().criteria[0].pending) == (True, True)
    products.materialize("cut")
    assert (products.info().criteria[0].head, products.info().criteria[0].fingerprint) == (False, bare)
    products.drop_head("cut")  # has none
    assert not products.info().criteria[0].pending
    products.train_head("cut", "cut", **QUICK)
    products.drop_head("cut")  # before it was built
    assert not products.info().criteria[0].pending
    with pytest.raises(NotFoundError, match="there are: cut"):
        products.drop_head("colour")


def test_another_encoder_leaves_it_behind() -> None:
    class Other(ColourEncoder):
        name = "other"

    colours = list(ColourEncoder.colours)
    with CRLCollection.create("products", location=":memory:", encoder=ColourEncoder(), device="cpu") as products:
        embeddings = np.repeat(ColourEncoder().encode_texts(colours), 8, axis=0) + 0.3 * RNG.normal(size=(48, 4))
        products.add(
            range(48), embeddings=embeddings, payloads=[{"colour": each} for each in colours for _ in range(8)]
        )
        products.define("colour", colours)
        products.train_head("colour", "colour", **QUICK)
        assert products.info().criteria[0].head
        products.migrate(Other(), lambda point, payload: picture(payload["colour"]))
        assert not products.info().criteria[0].head
        assert products.search(like=0, criterion="colour", limit=7)[0].payload == {"colour": colours[0]}


def test_it_stays_with_what_it_was_trained_on_where_suppressed_criteria_change() -> None:
    products = shop(":memory:")
    products.define("cut", suppress="others")
    products.train_head("cut", "cut", **QUICK)
    trained = products.info().criteria[0].fingerprint
    products.define(Criterion("hem", list("xyz"), embeddings=RNG.normal(size=(3, 16))))
    products.materialize("cut")
    products.materialize("cut")
    info = products.info().criteria[0]
    assert (info.head, info.outdated, info.fingerprint) == (True, True, trained)


def test_a_criterion_that_is_changed_meanwhile() -> None:
    products = shop(":memory:")
    version = products._criteria.latest("cut")
    products.define("cut", preset="paper")
    with pytest.raises(CriterionError, match="was changed while its head was trained"):
        products._criteria.set_head(version, some_head(version.projection.width))


def test_a_head_that_is_no_better_is_not_kept() -> None:
    products = CRLCollection.create("products", location=":memory:", dimension=4, device="cpu")
    rows = np.repeat(np.eye(4)[:2], 10, axis=0) + 0.001 * RNG.normal(size=(20, 4))
    products.add(range(20), embeddings=rows)
    products.define(Criterion("side", ["a", "b"], embeddings=np.eye(4)[:2]))
    report = products.train_head("side", {n: n // 10 for n in range(20)}, **QUICK)
    assert (report.training_free, report.head, report.kept) == (1.0, 1.0, False)
    assert not products.info().criteria[0].head


def test_bad_input(location: Any) -> None:
    products = shop(location)
    every: tuple[tuple[Any, dict[str, Any], str], ...] = (
        ("colour", {}, "no point has a value in the payload field 'colour'"),
        ({}, {}, "there must be labels, and there are none"),
        (dict.fromkeys(range(9), "a"), {}, "at least two labels with 4 items each; there are: 'a' 9"),
        ("n", {}, "at least two labels with 4 items each; there are: 0 1, 1 1"),
        ({1: ["a"]}, {}, "a label must be one text"),
        ("cut", {"validation": 1.0}, "`validation` must be above 0 and below 1"),
        ("cut", {"out": 0}, "`out` must be from 1 to 65536, got 0"),
        ("cut", {"epochs": 0}, "`epochs` must be"),
        ("cut", {"learning_rate": 0.0}, "`learning_rate` must be above 0"),
        ("cut", {"seed": -1}, "`seed` must be"),
    )
    for labels, options, complaint in every:
        with pytest.raises(InputError, match=complaint):
            products.train_head("cut", labels, **options)
    with pytest.raises(NotFoundError, match="there are: cut"):
        products.train_head("colour", "cut")
    with pytest.raises(NotFoundError, match="1 of 121 labelled points are not there"):
        products.train_head("cut", {**dict(enumerate(LABELS)), 999: "short"})
    short = models.Filter(must=[models.FieldCondition(key="cut", match=models.MatchValue(value="short"))])
    with pytest.raises(InputError, match="there are: 'short' 40"):
        products.train_head("cut", "cut", query_filter=short)
