"""Items that no example is near to: on real photos with real words, and on the demo."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crl_qdrant import Criterion, CRLCollection
from crl_qdrant.analysis.abstention import Examples, is_far
from crl_qdrant.demo.products import ATTRIBUTES

WORDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "clip-text"


def test_far_is_told_by_the_examples_themselves() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(3, 6)
    rows = np.repeat(centres, 40, axis=0) + rng.normal(0, 0.1, size=(120, 6))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    examples = Examples(rows[[*range(8), *range(40, 48)]], np.repeat([0, 1], 8))
    others = [*range(8, 40), *range(48, 120)]
    classes = np.array([int(rows[at, 1] > rows[at, 0]) for at in others])
    far = is_far(rows[others], classes, examples, rows)
    assert far is not None
    assert far[64:].all()
    assert far[:64].mean() <= 0.25
    assert is_far(rows[others], classes, Examples(rows[[0, 40]], np.array([0, 1])), rows) is None


def shares(products: CRLCollection, criterion: str, labels: list[Any], chosen: list[Any], each: int, seed: int) -> Any:
    """Of few_shot from some examples of the chosen labels: the share of other items without a label, and of theirs."""
    rng = np.random.default_rng(seed)
    values = np.array(labels)
    examples = {
        int(at): label for label in chosen for at in rng.choice(np.flatnonzero(values == label), each, replace=False)
    }
    found = products.few_shot(criterion, examples)
    without = np.array([label is None for label in found.labels])
    theirs = np.isin(values[[int(point) for point in found.ids]], chosen)
    return without[~theirs].mean(), without[theirs].mean()


@pytest.mark.skipif(not WORDS.is_dir(), reason="the word embeddings of a real text tower are not present")
def test_most_items_of_other_types_stay_unlabelled_on_real_photos(fashion: dict[str, Any]) -> None:
    names = json.loads((WORDS / "lvis.json").read_text())
    texts = np.load(WORDS / "lvis.npy")
    garments = names["garments_and_accessories"]
    rows = [names["names"].index(word) for word in garments]
    labels = dict(fashion["table"].select("id", "articleType").iter_rows())
    types = [labels[each] for each in fashion["ids"]]
    largest = [label for label, _ in Counter(types).most_common(12)]
    with CRLCollection.create("products", location=":memory:", dimension=512, device="cpu") as products:
        products.add(range(len(types)), embeddings=fashion["embeddings"])
        products.define(Criterion("type", garments, embeddings=texts[rows]))
        rng = np.random.default_rng(0)
        found = [
            shares(products, "type", types, rng.choice(largest, 4, replace=False).tolist(), 8, seed)
            for seed in range(20)
        ]
    others, theirs = np.mean(found, axis=0)
    assert others >= 0.75, (others, theirs)
    assert theirs <= 0.15, (others, theirs)


def test_on_the_demo(demo_shop: dict[str, Any]) -> None:
    with CRLCollection.create("products", location=":memory:", dimension=128, device="cpu") as products:
        products.add(range(600), embeddings=demo_shop["embeddings"])
        for name in ("silhouette", "colour"):
            products.define(demo_shop["criteria"][name])
            labels, values = [payload[name] for payload in demo_shop["payloads"]], list(ATTRIBUTES[name])
            half = values[: len(values) // 2]
            others, theirs = np.mean([shares(products, name, labels, half, 8, seed) for seed in range(3)], axis=0)
            assert others >= 0.9, (name, others, theirs)
            assert theirs <= 0.15, (name, others, theirs)
