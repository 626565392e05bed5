"""The default criterion on real photos with real text embeddings: ahead of what it is to replace, on held-out photos.

The options were chosen on one half of the photos (A), and are measured here on the other. Labels only measure.
"""

from __future__ import annotations

import numpy as np
import pytest
from real_words import Half, SHARED

from crl_qdrant import Options, PRESETS


@pytest.fixture
def half() -> Half:
    if not all((SHARED / each).is_dir() for each in ("clip-text", "fashion-catalog")):
        pytest.skip("the photos' embeddings and the real texts are not here")
    return Half("B")


def ahead(half: Half, rows: np.ndarray, label: str) -> float:
    """By how much the default is ahead of the better of plain search and the paper's form."""
    texts = half.texts[rows]
    ours = half.by(texts, Options())
    assert ours.shape[1] <= 64
    paper = half.precision(half.by(texts, PRESETS["paper"]), label)
    return half.precision(ours, label) - max(half.precision(half.images, label), paper)


def test_the_default_is_ahead_of_plain_search_and_of_the_paper(half: Half) -> None:
    for rows in (half.garments, np.arange(len(half.texts)), half.others):
        for label in ("articleType", "subCategory"):
            assert ahead(half, rows, label) >= 1.5


def test_and_on_word_lists_half_of_which_are_about_something_else(half: Half) -> None:
    rng = np.random.default_rng(7)
    for number, times in ((20, 3), (50, 3), (400, 1)):
        gains = []
        for _ in range(times):
            ours = rng.choice(half.garments, min(len(half.garments), number // 2), replace=False)
            rows = np.concatenate([ours, rng.choice(half.others, number - len(ours), replace=False)])
            gains += [ahead(half, rows, label) for label in ("articleType", "subCategory")]
        assert min(gains) >= -0.5
        assert np.mean(gains) > 0


def test_fitted_words_lose_nothing_by_it(half: Half) -> None:
    def mean(preset: str) -> float:
        return float(np.mean([half.precision(half.by(each, PRESETS[preset]), of) for of, each in half.fitted.items()]))

    assert mean("default") >= mean("default-0.1") - 0.5
