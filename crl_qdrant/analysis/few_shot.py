"""The rest of a collection labelled from a few examples: logistic regression on a criterion's representations."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.analysis.labels import Label
from crl_qdrant.analysis.scaling import rescale
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.extras import needed
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.criteria.space import Space
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import PROBABILITY

__all__ = ["FewShot", "few_shot"]

_FOLDS: Final = 5
_DIGITS: Final = 4  # of a probability in the payload


@dataclass(frozen=True, slots=True)
class FewShot:
    """Labels learnt from examples.

    Attributes:
        criterion: by which; None for the raw embeddings.
        examples: the labels that were given, by id.
        ids: the N other items.
        labels: the most probable label of each of them.
        probabilities: how probable that is, float64 [N] in (0, 1], as the classifier has it.
        accuracy: share of the examples that are labelled rightly when they are left out in turn (stratified
            cross-validation, five folds at most); None where a label has only one example.
    """

    criterion: str | None
    examples: dict[PointId, Label]
    ids: list[PointId]
    labels: list[Label]
    probabilities: npt.NDArray[np.float64]
    accuracy: float | None

    def values(self) -> tuple[list[PointId], list[Payload]]:
        """What a payload field is given, of all items: label and `_probability`, which for the examples is 1."""
        given: list[Payload] = [{"": label, PROBABILITY: 1.0} for label in self.examples.values()]
        found: list[Payload] = [
            {"": label, PROBABILITY: round(probability, _DIGITS)}
            for label, probability in zip(self.labels, self.probabilities.tolist(), strict=True)
        ]
        return [*self.examples, *self.ids], given + found


def few_shot(
    space: Space, examples: Mapping[PointId, Label], known: Float32Array, ids: Sequence[PointId], others: Float32Array
) -> FewShot:
    """Label items from examples; `CRLCollection.few_shot` says more.

    Args:
        space: where items are compared.
        examples: E labels by id.
        known: the examples' embeddings, [E, d], unit rows, in their order.
        ids: N other items.
        others: their embeddings, [N, d], unit rows.

    Raises:
        InputError: examples of one label only.
        MissingPackageError: scikit-learn is not installed.
    """
    with needed("scikit-learn", "tasks"):
        from sklearn.linear_model import LogisticRegression
    counts = Counter(examples.values())
    if len(counts) < 2:
        raise InputError(f"examples of two labels are needed at least, and all have {next(iter(counts))!r}")
    classes = list(counts)
    codes = np.array([classes.index(label) for label in examples.values()])
    rows = _features(space, np.concatenate([known, others]))
    train, rest = rows[: len(known)], rows[len(known) :]
    with warnings.catch_warnings():
        # one example of each of many labels is what is asked for, and not a regression
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        accuracy = _accuracy(train, codes, min(counts.values()))
        model = LogisticRegression(max_iter=1000).fit(train, codes)
    found = np.asarray(model.predict_proba(rest) if len(rest) else np.empty((0, len(classes))), dtype=np.float64)
    return FewShot(
        None if space.projection is None else space.name,
        dict(examples),
        list(ids),
        [classes[at] for at in found.argmax(axis=1)],
        found.max(axis=1),
        accuracy,
    )


def _features(space: Space, embeddings: Float32Array) -> Float32Array:
    """Representations scaled as the code of arXiv 2510.04564 scales R.

    Rows of unit length have values so small that the classifier's penalty would keep it from using them.
    """
    rows = space.represent(embeddings)
    projection = space.projection
    if projection is not None and projection.head is None and not projection.sharpen:
        # R itself, not R rotated: a row's mean and deviation are those over the words
        rows = projection.by_words(rows).reshape(len(rows), -1)
    return rescale(rows, "code")


def _accuracy(rows: Float32Array, codes: npt.NDArray[Any], fewest: int) -> float | None:
    if fewest < 2:
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score, StratifiedKFold

    folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=0)
    scores = cross_val_score(LogisticRegression(max_iter=1000), rows, codes, cv=folds)
    return float(np.mean(scores))
