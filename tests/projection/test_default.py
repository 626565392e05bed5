"""The default criterion on real photos with real text embeddings: ahead of what it is to replace, on held-out photos.

The options were chosen on one half of the photos (A), and are measured here on the other. Labels only measure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import unit

from crl_qdrant import Options, PRESETS
from crl_qdrant.analysis.metrics import mean_average_precision
from crl_qdrant.projection.build import build_projection

TEXTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "clip-text"


class HalfB:
    """The 500 photos that no option was chosen on, and the names of 1,203 objects."""

    def __init__(self, fashion: dict[str, Any]) -> None:
        half = np.sort(np.random.default_rng(0).permutation(1000)[500:])
        self.images = unit(fashion["embeddings"])[half]
        self.fitted = {name: unit(texts) for name, texts in fashion["texts"].items()}
        columns = {
            name: dict(fashion["table"].select("id", name).iter_rows()) for name in [*self.fitted, "subCategory"]
        }
        self.labels = {name: [values[fashion["ids"][at]] for at in half] for name, values in columns.items()}
        known = json.loads((TEXTS / "lvis.json").read_text(encoding="utf-8"))
        self.texts = unit(np.load(TEXTS / "lvis.npy").astype(np.float64))
        fashionable = set(known["garments_and_accessories"])
        self.garments = np.array([at for at, name in enumerate(known["names"]) if name in fashionable])
        self.others = np.array([at for at, name in enumerate(known["names"]) if name not in fashionable])

    def precision(self, rows: np.ndarray, label: str) -> float:
        """Leave-one-out mAP x 100, of the photos that have a label."""
        labels = self.labels[label]
        having = [at for at, each in enumerate(labels) if each]
        return 100 * mean_average_precision(rows[having].astype(np.float32), [labels[at] for at in having])

    def by(self, texts: np.ndarray, options: Options) -> np.ndarray:
        return build_projection(texts, options, images=self.images).represent(self.images)

    def ahead(self, texts: np.ndarray, label: str) -> float:
        """By how much the default is ahead of the better of the plain search and the paper's form."""
        paper = self.precision(self.by(texts, PRESETS["paper"]), label)
        ours = self.by(texts, Options())
        assert ours.shape[1] <= 64
        return self.precision(ours, label) - max(self.precision(self.images, label), paper)


@pytest.fixture
def half(fashion: dict[str, Any]) -> HalfB:
    if not TEXTS.is_dir():
        pytest.skip("the text embeddings are not here")
    return HalfB(fashion)


def test_the_default_is_ahead_of_plain_search_and_of_the_paper(half: HalfB) -> None:
    for rows in (half.garments, np.arange(len(half.texts)), half.others):
        for label in ("articleType", "subCategory"):
            assert half.ahead(half.texts[rows], label) >= 1.5


def test_and_on_word_lists_half_of_which_are_about_something_else(half: HalfB) -> None:
    rng = np.random.default_rng(7)
    for number, times in ((20, 3), (50, 3), (400, 1)):
        gains = []
        for _ in range(times):
            ours = rng.choice(half.garments, min(len(half.garments), number // 2), replace=False)
            rows = np.concatenate([ours, rng.choice(half.others, number - len(ours), replace=False)])
            gains += [half.ahead(half.texts[rows], label) for label in ("articleType", "subCategory")]
        assert min(gains) >= -0.5
        assert np.mean(gains) > 0


def test_fitted_words_lose_nothing_by_it(half: HalfB) -> None:
    def mean(preset: str) -> float:
        return float(np.mean([half.precision(half.by(each, PRESETS[preset]), of) for of, each in half.fitted.items()]))

    assert mean("default") >= mean("default-0.1") - 0.5
