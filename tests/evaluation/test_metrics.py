from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from crl_qdrant.errors import InputError
from crl_qdrant.evaluation.metrics import (
    clustering_agreement,
    contingency,
    recall_at,
    target_rank,
    weighted_mean,
)


def test_clusters_are_matched_one_to_one() -> None:
    # a's four are 3 + 1, b's two 0 + 2: the match is x to a, y to b, with 3 + 2 of 6 right
    labels, clusters = list("aaaabb"), list("xxxyyy")
    assert contingency(labels, clusters)[0] == ["a", "b"]
    assert contingency(labels, clusters)[1].tolist() == [[3, 1], [0, 2]]
    found = clustering_agreement(labels, clusters)
    assert found.acc == pytest.approx(5 / 6)
    # of 15 pairs, 6 + 1 are of one class, 3 + 3 of one cluster, and 3 + 1 of both
    assert found.ari == pytest.approx((4 - 7 * 6 / 15) / ((7 + 6) / 2 - 7 * 6 / 15))
    p = np.array([[3, 1], [0, 2]]) / 6
    information = sum(v * math.log(v / (p[i].sum() * p[:, j].sum())) for (i, j), v in np.ndenumerate(p) if v)
    entropies = [-sum(v * math.log(v) for v in p.sum(axis=axis)) for axis in (0, 1)]
    assert found.nmi == pytest.approx(information / np.mean(entropies))


def test_accuracy_is_the_best_of_all_matches() -> None:
    rng = np.random.default_rng(3)
    labels, clusters = rng.integers(0, 5, size=80), rng.integers(0, 5, size=80)
    best = max(np.mean(np.array(names)[clusters] == labels) for names in itertools.permutations(range(5)))
    assert clustering_agreement(labels.tolist(), clusters.tolist()).acc == pytest.approx(best)
    assert clustering_agreement([1, 1, 2], [7, 7, 3]) == (1.0, 1.0, 1.0)
    # more clusters than classes: only one of a class's clusters is its own
    assert clustering_agreement(list("aab"), [0, 1, 2]).acc == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="3 labels and 2 clusters"):
        clustering_agreement([1, 1, 2], [0, 0])


def test_ties_count_against_the_target() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.1, 0.5])
    assert [target_rank(scores, target) for target in range(5)] == [3, 0, 3, 4, 3]
    assert target_rank(np.zeros(15), 0) == 14
    assert target_rank(np.array([np.nan, 1.0]), 0) == 1
    ranks = [3, 0, 3, 4, 1]
    assert [recall_at(ranks, k) for k in (1, 2, 3, 4, 5)] == pytest.approx([0.2, 0.4, 0.4, 0.8, 1.0])


def test_a_weighted_mean() -> None:
    assert weighted_mean([0.5, 0.2], [1, 3]) == pytest.approx(0.275)
