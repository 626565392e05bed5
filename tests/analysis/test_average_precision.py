"""Mean average precision: by hand, and beside scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fakes import unit
from sklearn.metrics import average_precision_score

from crl_qdrant.analysis.average_precision import average_precisions, mean_average_precision, rank


def test_hand_worked_case() -> None:
    # on a half circle, at 0, 10, 30 and 90 degrees: from the first, the others come in that order
    angles = np.radians([0, 10, 30, 90])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # labels a b a b: query 0 finds its a second (1/2), query 1 its b third (1/3), queries 2 and 3 second (1/2)
    assert mean_average_precision(points, list("abab")) == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 2) / 4)


def test_queries_without_a_relevant_item_do_not_count() -> None:
    points = np.eye(3)
    assert mean_average_precision(points, ["a", "a", "lonely"]) == pytest.approx((1 / 1 + 1 / 1) / 2)
    assert math.isnan(mean_average_precision(points, list("abc")))


def test_same_as_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    rows, labels = unit(rng.normal(size=(300, 6))), rng.integers(0, 5, size=300)
    expected = []
    for query in range(300):
        others = np.arange(300) != query
        expected.append(average_precision_score(labels[others] == labels[query], (rows @ rows[query])[others]))
    assert mean_average_precision(rows, labels.tolist()) == pytest.approx(np.mean(expected), abs=1e-9)


def test_average_precision_of_each_query() -> None:
    scores = np.array([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]])
    relevant = np.array([[True, False, True], [True, False, False], [False, False, False]])
    order = rank(scores)
    found = average_precisions(np.take_along_axis(relevant, order, axis=1))
    assert found[:2].tolist() == pytest.approx([(1 + 2 / 3) / 2, 1 / 3])
    assert math.isnan(found[2])
    # of the first ranking only the last two items are there, and one of them is relevant
    present = np.array([[False, True, True]] * 3)
    assert average_precisions(relevant, present)[0] == pytest.approx(1 / 2)
    assert rank(np.array([[1.0, 1.0, 2.0]])).tolist() == [[2, 0, 1]]
