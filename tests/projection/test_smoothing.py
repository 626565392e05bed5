"""Representations averaged with their nearest: the formula, whatever the blocks, and its worth on real photos."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import unit
from real_words import Half, SHARED

from crl_qdrant import Options
from crl_qdrant.analysis.precision import Precision
from crl_qdrant.projection import smoothing
from crl_qdrant.projection.smoothing import smooth_among, smooth_rows, smooth_with

RNG = np.random.default_rng(5)
ROWS = unit(RNG.normal(size=(90, 6))).astype(np.float32)


def by_hand(at: int, k: int) -> np.ndarray:
    """The formula of the module, for one row."""
    rows = ROWS.astype(np.float64)
    cosines = rows @ rows[at]
    others = [other for other in np.argsort(-cosines) if other != at][:k]
    return unit(rows[at] + sum(max(cosines[other], 0.0) ** 3 * rows[other] for other in others))


@pytest.mark.parametrize("k", [1, 7, 89, 100])
@pytest.mark.parametrize("floats", [1, 1000, 2**24])
def test_the_formula_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch, k: int, floats: int) -> None:
    monkeypatch.setattr(smoothing, "_FLOATS_AT_ONCE", floats)
    smoothed = smooth_rows(ROWS, k)
    assert smoothed.dtype == np.float32
    assert smoothed == pytest.approx(np.stack([by_hand(at, k) for at in range(90)]), abs=1e-5)


def test_two_neighbours_by_hand() -> None:
    row = np.array([[1, 0]], dtype=np.float32)
    neighbours = np.array([[[0.6, 0.8], [-1, 0], [0, 0]]], dtype=np.float32)
    expected = np.array([1 + 0.216 * 0.6, 0.216 * 0.8])
    assert smooth_with(row, neighbours)[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)


def test_a_row_without_neighbours_stays_and_zeros_stay_zeros() -> None:
    assert smooth_rows(ROWS[:1], 5) == pytest.approx(ROWS[:1], abs=1e-6)
    assert smooth_rows(ROWS[:0], 5).shape == (0, 6)
    assert smooth_among(ROWS[:2], ROWS[:0], np.array([-1, -1]), 5) == pytest.approx(ROWS[:2])
    zeros = np.zeros((1, 6), dtype=np.float32)
    assert not smooth_among(zeros, ROWS, np.array([-1]), 5).any()


def test_it_is_worth_two_points_on_real_photos() -> None:
    if not all((SHARED / each).is_dir() for each in ("clip-text", "fashion-catalog")):
        pytest.skip("the photos' embeddings and the real texts are not here")
    half = Half("B")
    rows = half.by(half.texts[half.garments], Options()).astype(np.float32)
    smoothed = smooth_rows(rows, 10)
    for label, as_searched in (("articleType", 1.5), ("subCategory", 1.0)):
        precision = Precision(half.labels[label], seed=0)
        plain, stored, searched = (
            100 * precision.measure(*each)[0] for each in ((rows,), (smoothed,), (smoothed, rows))
        )
        assert stored - plain >= 2.0
        assert searched - plain >= as_searched  # the query is not smoothed
