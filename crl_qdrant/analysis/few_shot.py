"""Labels for a collection from a few examples: logistic regression on a criterion's representations."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from crl_qdrant.analysis.abstention import Examples, is_far
from crl_qdrant.analysis.average_precision import label_codes
from crl_qdrant.analysis.labels import Label
from crl_qdrant.analysis.scaling import rescale
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.extras import needed
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.criteria.space import Space
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import PROBABILITY

__all__ = ["FewShot", "Unlabelled", "few_shot"]

_FOLDS: Final = 5
_DIGITS: Final = 4  # of a probability in the payload


@dataclass(frozen=True, slots=True)
class FewShot:
    """Labels learnt from examples.

    Attributes:
        criterion: its name; None for the raw embeddings.
        examples: the given labels, by id.
        ids: the N other items.
        labels: the most probable label of each; None for an item that no example is near to.
        probabilities: of the most probable label, float64 [N] in (0, 1], also for items without a label.
        accuracy: share of the examples labelled correctly when left out in turn (stratified cross-validation, at most
            five folds); None if a label has only one example.
        abstains: whether items may be left without a label. They are not if every label has one example: there is
            nothing to tell what is near.
    """

    criterion: str | None
    examples: dict[PointId, Label]
    ids: list[PointId]
    labels: list[Label | None]
    probabilities: npt.NDArray[np.float64]
    accuracy: float | None
    abstains: bool = False

    def values(self) -> tuple[list[PointId], list[Payload]]:
        """All items, and for each the payload values by suffix: label and `_probability`, which is 1 for an example."""
        given: list[Payload] = [{"": label, PROBABILITY: 1.0} for label in self.examples.values()]
        found: list[Payload] = [
            {} if label is None else {"": label, PROBABILITY: round(probability, _DIGITS)}
            for label, probability in zip(self.labels, self.probabilities.tolist(), strict=True)
        ]
        return [*self.examples, *self.ids], given + found


class Unlabelled(NamedTuple):
    """Items to label: N ids, and their embeddings, [N, d], unit rows."""

    ids: list[PointId]
    embeddings: Float32Array


def few_shot(
    space: Space,
    examples: Mapping[PointId, Label],
    known: Float32Array,
    others: Unlabelled,
    *,
    sample: Float32Array | None,
) -> FewShot:
    """Label items from examples, see `CRLCollection.few_shot`.

    Args:
        space: where items are compared.
        examples: E labels by id.
        known: the examples' embeddings, [E, d], unit rows, in their order.
        others: the items to label.
        sample: embeddings of some of the collection's items, [n, d], unit rows, to tell which items no example is near
            to; None: every item gets a label.

    Raises:
        InputError: if all examples have the same label.
        MissingPackageError: if scikit-learn is not installed.
    """
    with needed("scikit-learn", "tasks"):
        from sklearn.linear_model import LogisticRegression
    counts = Counter(examples.values())
    if len(counts) < 2:
        raise InputError(f"`examples` must have at least two labels, and all have {next(iter(counts))!r}; add others")
    classes = list(counts)
    codes = label_codes(list(examples.values()))
    represented = space.represent(np.concatenate([known, others.embeddings]))
    features = _features(space, represented)
    train, rest = features[: len(known)], features[len(known) :]
    with warnings.catch_warnings():
        # one example of each of many labels is fine here, and scikit-learn takes it for a regression
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        accuracy = _accuracy(train, codes, min(counts.values()))
        model = LogisticRegression(max_iter=1000).fit(train, codes)
    probabilities = np.asarray(
        model.predict_proba(rest) if len(rest) else np.empty((0, len(classes))), dtype=np.float64
    )
    best = probabilities.argmax(axis=1)
    far = None
    if sample is not None:
        near = Examples(represented[: len(known)], codes)
        far = is_far(represented[len(known) :], best, near, space.represent(sample))
    withheld = np.zeros(len(best), dtype=np.bool_) if far is None else far
    return FewShot(
        None if space.projection is None else space.name,
        dict(examples),
        others.ids,
        [None if gone else classes[at] for at, gone in zip(best.tolist(), withheld.tolist(), strict=True)],
        probabilities.max(axis=1),
        accuracy,
        far is not None,
    )


def _features(space: Space, rows: Float32Array) -> Float32Array:
    """Representations [N, r] scaled as the code of arXiv 2510.04564 scales R.

    The values of unit rows are so small that the classifier's penalty would keep it from using them.
    """
    projection = space.projection
    plain = projection is not None and not (projection.sharpen or projection.rest or projection.head)
    if projection is not None and plain:
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
