"""Variants measured on labels: known answers, honest errors, and a recommendation that can be taken."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from failing_store import store_of
from fakes import unit

from crl_qdrant import Ablation, Criterion, CRLCollection, InputError, NotFoundError, Options, PRESETS, Variant
from crl_qdrant.analysis.ablation import titles
from crl_qdrant.analysis.average_precision import mean_average_precision
from crl_qdrant.analysis.precision import Precision
from crl_qdrant.cli.app import main
from crl_qdrant.projection.smoothing import smooth_rows

RNG = np.random.default_rng(0)
AXES = np.eye(12)
COLOURS = ["red", "green", "blue", "white"]
LABELS = RNG.integers(0, 4, 120)
# a strong part that has nothing to do with the colour, on axes 4 to 7, and one that all items share, on axis 8
STYLES = RNG.integers(0, 4, 120)
IMAGES = unit(AXES[LABELS] + 2 * AXES[4 + STYLES] + AXES[8] + 0.4 * RNG.normal(size=(120, 12)))
# words that share the axes of style: the paper's form sees style in them, centring takes that out
TEXTS = unit(AXES[:4] + 3 * AXES[4] + AXES[8])


def filled(location: Any) -> CRLCollection:
    products = CRLCollection.create("products", location=location, dimension=12)
    payloads = [
        {"colour": COLOURS[label], "deep": {"style": int(style)}, "list": ["a"], "own": at}
        for at, (label, style) in enumerate(zip(LABELS, STYLES, strict=True))
    ]
    products.add(range(120), embeddings=IMAGES, payloads=payloads)
    products.define(Criterion("colour", COLOURS, embeddings=TEXTS))
    return products


@pytest.fixture
def products(location: Any) -> CRLCollection:
    return filled(location)


def by_name(found: Ablation) -> dict[str, Variant]:
    return {each.name: each for each in found.variants}


def test_every_variant_is_measured_or_said_why_not(products: CRLCollection) -> None:
    found = products.ablate("colour", "colour")
    assert (found.criterion, found.labels, found.items, found.reference) == ("colour", "colour", 120, "default")
    variants = by_name(found)
    assert variants.keys() | found.skipped.keys() == {*titles()}
    assert set(titles()) >= {"raw", *PRESETS}
    assert {name for name, why in found.skipped.items() if "no other criterion to suppress" in why} == {
        name for name in titles() if "suppressed" in name or name == "purified"
    }
    assert [each.precision for each in found.variants] == sorted((v.precision for v in found.variants), reverse=True)
    assert [name for name, each in variants.items() if each.current] == ["default"]
    assert variants["default"].precision > variants["paper"].precision + 0.1
    # each is the mAP of what a search by it compares
    labels = [COLOURS[label] for label in LABELS]
    for preset in ("raw", "default", "paper", "compact", "tangent"):
        if preset != "raw":
            products.define(Criterion("colour", COLOURS, embeddings=TEXTS, preset=preset))
        _, rows = products.representations(None if preset == "raw" else "colour")
        expected = mean_average_precision(rows, labels)
        assert variants[preset].precision == pytest.approx(expected, abs=1e-4)
        gain = expected - variants["default"].precision
        assert variants[preset].gain == pytest.approx(gain, abs=1e-4)


def test_nothing_is_changed(products: CRLCollection) -> None:
    before = store_of(products).metadata()
    products.ablate("colour", "colour")
    assert store_of(products).metadata() == before


def test_with_other_criteria_they_are_suppressed(products: CRLCollection) -> None:
    # a criterion of the styles, whose words the colours' share: what is suppressed is what misleads
    products.define(Criterion("style", list("abcd"), embeddings=AXES[4:8]))
    found = products.ablate("colour", "colour")
    assert not any("suppress" in why for why in found.skipped.values())
    assert by_name(found)["suppressed"].precision >= by_name(found)["default"].precision
    styles = by_name(products.ablate("style", "deep.style"))
    assert styles["default"].precision > styles["raw"].precision + 0.03


def test_options_of_ones_own_are_a_variant(products: CRLCollection) -> None:
    products.define(Criterion("colour", COLOURS, embeddings=TEXTS, sharpen=0.7))
    found = products.ablate("colour", "colour")
    (current,) = (each for each in found.variants if each.current)
    assert (current.name, current.preset) == ("as it is", None)
    assert by_name(found)["default"].current is False


def test_two_words_have_the_papers_form_only(products: CRLCollection) -> None:
    products.define(Criterion("two", COLOURS[:2], embeddings=TEXTS[:2]))
    found = products.ablate("two", "colour")
    assert "centred" in found.skipped
    # the options that the paper's form has anyway leave it as it is
    same = {"default dimensions=null", "default rest=0", "default blend=0.5"}
    assert {each.name for each in found.variants if each.current} == {"default", "paper", *same}


def test_the_first_hits_averaged_into_the_query(products: CRLCollection) -> None:
    found = by_name(products.ablate("colour", "colour"))["default, search(expand=5)"]
    ids, rows = products.representations("colour")
    precisions = []
    labels = [COLOURS[LABELS[int(point)]] for point in ids]
    for at, row in enumerate(rows):
        others = [other for other in np.argsort(-(rows @ row), kind="stable").tolist() if other != at]
        query = row + sum(max(float(rows[other] @ row), 0.0) * rows[other] for other in others[:5])
        ranked = [other for other in np.argsort(-(rows @ query), kind="stable").tolist() if other != at]
        right = np.array([labels[other] == labels[at] for other in ranked])
        precisions.append(np.mean((right.cumsum() / np.arange(1, len(right) + 1))[right]))
    assert found.precision == pytest.approx(np.mean(precisions), abs=1e-4)
    assert found.preset is None


def test_smoothed_vectors_are_measured_by_queries_that_are_not(products: CRLCollection) -> None:
    found = by_name(products.ablate("colour", "colour"))["default smooth=10"]
    ids, rows = products.representations("colour")
    precision = Precision([COLOURS[LABELS[int(point)]] for point in ids], seed=0)
    assert found.precision == pytest.approx(precision.measure(smooth_rows(rows, 10), rows)[0], abs=1e-4)
    assert found.options == {"smooth": 10}


def variant(name: str, gain: float, error: float, *, current: bool = False, **options: Any) -> Variant:
    preset = None if name in ("raw", "as it is") else name
    return Variant(name, 0.5 + gain, gain, error, current, preset, options)


def test_the_default_is_recommended_unless_another_is_clearly_better() -> None:
    default, noise = variant("default", 0.0, 0.0, current=True), variant("compact", 0.01, 0.02)
    better, raw = variant("suppressed", 0.05, 0.02, sharpen=0.5, suppress_rank="knee"), variant("raw", 0.2, 0.0)
    for variants, wanted, command in (
        ([raw, noise, default], default, None),
        (
            [raw, better, noise, default],
            better,
            "crl-qdrant criteria add colour --preset suppressed -o sharpen=0.5 -o suppress_rank=knee",
        ),
        ([variant("as it is", 0.05, 0.02, current=True), default], variant("as it is", 0.05, 0.02, current=True), None),
    ):
        found = Ablation("colour", "colour", 9, "default", tuple(variants), {})
        assert found.recommended == wanted
        assert found.command == command
    other = Ablation("colour", "colour", 9, "default", (noise, variant("default", 0.0, 0.0)), {})
    assert other.command == "crl-qdrant criteria add colour --preset default"


def test_precision_of_halves_is_that_of_the_metric() -> None:
    labels = [COLOURS[label] for label in LABELS] + ["alone"]
    rows = np.concatenate([IMAGES, unit(RNG.normal(size=(1, 12)))]).astype(np.float32)
    precision = Precision(labels, seed=3)
    measured = precision.measure(rows)
    assert len(measured) == 1 + 20
    for value, part in zip(measured, precision._parts, strict=True):
        some = [label for label, there in zip(labels, part, strict=True) if there]
        assert value == pytest.approx(mean_average_precision(rows[part], some), abs=1e-6)


def test_the_standard_error_is_how_much_a_difference_varies() -> None:
    centres = RNG.normal(size=(5, 8))
    differences, errors = [], []
    for _ in range(80):
        labels = RNG.integers(0, 5, 80)
        clean, noisy = (
            unit(centres[labels] + noise * RNG.normal(size=(80, 8))).astype(np.float32) for noise in (1.0, 1.3)
        )
        precision = Precision(labels.tolist(), seed=0)
        gains = precision.measure(clean) - precision.measure(noisy)
        differences.append(gains[0])
        errors.append(gains[1:].std(ddof=1))
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.3)


def test_a_sample_is_drawn_and_the_same_again(products: CRLCollection) -> None:
    first, again, other = (products.ablate("colour", "colour", sample=60, seed=seed) for seed in (1, 1, 2))
    assert first.items == 60
    assert first == again != other


def test_labels_that_cannot_be(products: CRLCollection) -> None:
    with pytest.raises(NotFoundError, match="there are: colour"):
        products.ablate("cut", "colour")
    with pytest.raises(InputError, match="no item has a value in 'brand'"):
        products.ablate("colour", "brand")
    with pytest.raises(InputError, match="too few of them the same"):
        products.ablate("colour", "own")
    with pytest.raises(InputError, match=r"one value for each item, and 'list' holds \['a'\]"):
        products.ablate("colour", "list")
    with pytest.raises(InputError, match="`labels` must be the name"):
        products.ablate("colour", ["colour"])  # type: ignore[arg-type]
    for wrong in ({"sample": 1}, {"seed": -1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            products.ablate("colour", "colour", **wrong)


def test_the_command_says_how_to_take_what_it_recommends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    with filled(tmp_path / "data") as products:
        products.define(Criterion("colour", COLOURS, embeddings=TEXTS, preset="pseudo-inverse", weighting=-2))

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["crl-qdrant", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return capsys.readouterr().out

    out = run("criteria", "ablate", "colour", "--labels", "colour")
    (current,) = (line for line in out.splitlines() if "current" in line)
    assert "as it is" in current
    assert "left out suppressed: the collection has no other criterion to suppress" in out
    command = out.splitlines()[-1]
    assert command.startswith("crl-qdrant criteria add colour --preset ")
    measured = json.loads(run("criteria", "ablate", "colour", "--labels", "colour", "--json"))
    assert measured["command"] == command
    run(*command.split()[1:])
    with CRLCollection.open("products", location=tmp_path / "data") as products:
        assert products.criterion("colour").options != Options(weighting=-2, sharpen=0)
        again = products.ablate("colour", "colour")
    assert again.recommended.name == measured["recommended"]
    assert again.command is None
    (tmp_path / "data").rename(tmp_path / "my shop")
    elsewhere = run("criteria", "ablate", "colour", "--labels", "deep.style", "--location", "my shop").splitlines()
    assert elsewhere[-1].startswith("keep it as it is") or elsewhere[-1].endswith(" --location 'my shop'")
    # by a label that has nothing to do with the criterion, it is better to do without
    warning = "no variant is better by deep.style than a search without a criterion (raw)"
    assert warning in elsewhere
    assert "without a criterion" not in out
    (tmp_path / "my shop").rename(tmp_path / "data")
    assert "keep it as it is" in run("criteria", "ablate", "colour", "--labels", "colour")
