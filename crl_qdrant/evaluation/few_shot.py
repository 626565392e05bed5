"""Few-shot classification: logistic regression on a few labelled images of each class, tested on all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.errors import InputError
from crl_qdrant.evaluation.extra import evaluation_packages
from crl_qdrant.evaluation.scores import Score

__all__ = ["SHOTS", "few_shot"]

SHOTS: Final = (1, 5, 10)
"""Labelled images of each class in the paper's tables."""


def few_shot(
    features: Float32Array,
    labels: Sequence[str],
    *,
    shots: Sequence[int] = SHOTS,
    seeds: Iterable[int] = range(20),
    advance: Callable[[int], object] = lambda items: None,
) -> dict[int, Score]:
    """Accuracy by the number of shots: `LogisticRegression(max_iter=1000)` on k random images of each class.

    All other images are the test set; every seed makes another draw (arXiv 2510.04564, section 4.2, and its code). The
    draw is NumPy's `default_rng(seed)`: single seeds differ from the paper's, so compare means only.

    Args:
        features: float [N, r], as `rescale` gives them.
        labels: N classes.
        shots: numbers of labelled images of each class.
        seeds: one draw for each.
        advance: called with 1 after each fit.

    Raises:
        InputError: if rows and labels differ in number, or a class has no image left to test on.
        MissingPackageError: if scikit-learn is not installed.
    """
    with evaluation_packages():
        from sklearn.linear_model import LogisticRegression
    if len(labels) != len(features):
        raise InputError(f"every row needs one label, got {len(features)} rows and {len(labels)} labels")
    values = np.asarray(labels)
    classes, counts = np.unique(values, return_counts=True)
    smallest = int(counts.argmin())
    if counts[smallest] <= max(shots):
        raise InputError(
            f"{max(shots)} shots need more images of every class; {str(classes[smallest])!r} has {counts[smallest]}"
        )
    accuracies: dict[int, list[float]] = {number: [] for number in shots}
    for seed in seeds:
        for number in shots:
            train = _draw(values, classes, number, np.random.default_rng(seed))
            model = LogisticRegression(max_iter=1000).fit(features[train], values[train])
            accuracies[number].append(float((model.predict(features[~train]) == values[~train]).mean()))
            advance(1)
    return {number: Score(tuple(each)) for number, each in accuracies.items()}


def _draw(
    values: npt.NDArray[np.str_], classes: npt.NDArray[np.str_], number: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """A mask [N] with `number` random items of every class."""
    chosen = np.zeros(len(values), dtype=bool)
    for each in classes:
        chosen[rng.choice(np.flatnonzero(values == each), size=number, replace=False)] = True
    return chosen
