"""Few-shot classification: logistic regression on a few labelled images of each class, tested on all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arrays import Float32Array, unit_or_zero
from crl_qdrant.errors import InputError
from crl_qdrant.evaluation.extra import evaluation_packages
from crl_qdrant.evaluation.scores import Score

__all__ = ["SCALINGS", "SHOTS", "few_shot", "rescale"]

SHOTS: Final = (1, 5, 10)
"""Labelled images of each class in the paper's tables."""

SCALINGS: Final = ("code", "paper", "unit")


def rescale(representations: Float32Array, scaling: str) -> Float32Array:
    """Features for the classifier, in one of three ways; the paper and its code do not do the same.

    "code" takes the mean of *all* values off and divides each row by its own standard deviation: what the paper's
    code does to R. "paper" gives each column zero mean and unit variance, the usual reading of "zero mean and unit
    variance" in its text. "unit" scales rows to unit length: what its code does to the raw embeddings.

    Args:
        representations: float [N, r].
        scaling: "code", "paper" or "unit".

    Raises:
        InputError: another scaling.
    """
    if scaling == "unit":
        return unit_or_zero(representations)
    if scaling == "code":
        centred, spread = representations - representations.mean(), representations.std(axis=1, keepdims=True)
    elif scaling == "paper":
        centred, spread = representations - representations.mean(axis=0), representations.std(axis=0)
    else:
        raise InputError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}")
    return np.asarray(centred / np.where(spread > 0, spread, 1), dtype=np.float32)


def few_shot(
    features: Float32Array,
    labels: Sequence[str],
    *,
    shots: Sequence[int] = SHOTS,
    seeds: Iterable[int] = range(20),
    advance: Callable[[int], object] = lambda items: None,
) -> dict[int, Score]:
    """Accuracy by the number of shots: `LogisticRegression(max_iter=1000)` on k random images of each class.

    All other images are the test; every seed draws anew (arXiv 2510.04564, section 4.2, and its code). The draw is
    NumPy's `default_rng(seed)`, so single seeds are not the paper's, only their mean is to be compared.

    Args:
        features: float [N, r], as `rescale` gives them.
        labels: N classes.
        shots: numbers of labelled images of each class.
        seeds: one draw for each.
        advance: called with 1 after each fit.

    Raises:
        InputError: not one label for each row, or a class without an image left to test on.
        MissingPackageError: scikit-learn is not installed.
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
