"""What must be there when a process at work on a collection was killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import random_operations as operations
from failing_store import store_of
from fakes import unit
from qdrant_client import models
from random_operations import Expected, Operation

from crl_qdrant import CriterionState, CRLCollection
from crl_qdrant.collection.info import CriterionInfo
from crl_qdrant.criteria.manifest import Manifest

EXACT = models.SearchParams(exact=True)


def check_after_kill(data: Path, expected: Expected, told: list[tuple[Operation, bool]]) -> Expected:
    """What there is after a kill, when what was begun has been finished: checked against what was told."""
    for operation, done in told[:-1]:
        assert done
        expected = expected.after(operation)
    operation, done = told[-1]
    # what was under way may have happened, or not, or for some points only
    allowed = [expected.after(operation)] if done else expected.during(operation)
    with CRLCollection.open("products", location=data) as products:
        points = stored_points(products, allowed)
        served = {each.name: version_of(each) for each in products.info().criteria}
        for name in {*served, *(name for each in allowed for name in each.served)}:
            assert served.get(name) in [each.served.get(name) for each in allowed]
        for name, version in served.items():
            check_criterion(products, name, version, points)
        if served:
            products.materialize(*served)
        served = {each.name: version_of(each) for each in products.info().criteria}
        for each in products.info().criteria:
            assert (each.state, each.points, each.pending) == (CriterionState.MATERIALIZED, len(points), False)
            assert served[each.name] in [each_allowed.wanted.get(each.name) for each_allowed in allowed]
            check_criterion(products, each.name, served[each.name], points)
        store = store_of(products)
        manifest = Manifest.read(store.metadata(), store.vector_sizes(), collection="products")
        assert {*store.vector_sizes()} == {"image", *(each.vector for each in manifest.criteria.values())}
        assert stored_points(products, allowed) == points
    return Expected(points, served, served, frozenset(served))


def version_of(criterion: CriterionInfo) -> int:
    return int(criterion.words[0].partition("-")[0])


def stored_points(products: CRLCollection, allowed: list[Expected]) -> dict[int, int]:
    """The generation of each point's embedding, which is the one that its payload tells, to the bit."""
    ids, rows = products.representations()
    assert len(ids) == len({*ids}) == products.count()
    payloads = {record.id: record.payload for record in store_of(products).retrieve(ids)}
    points = {int(each): int((payloads[each] or {})["generation"]) for each in ids}
    assert np.array_equal(rows, np.array([operations.ROWS[points[int(each)], int(each)] for each in ids]))
    for each in {*points, *(each for one in allowed for each in one.points)}:
        assert points.get(each) in [one.points.get(each) for one in allowed]
    return points


def check_criterion(products: CRLCollection, name: str, version: int, points: dict[int, int]) -> None:
    """Every representation is of the version that searches go by, and they find what the paper's formula finds."""
    texts = operations.TEXTS[version]
    stored = products.criterion(name).embeddings
    assert stored is not None
    assert np.allclose(stored, texts, atol=1e-6)
    ids, rows = products.representations(name)
    assert {*ids} == {*points}
    embeddings = np.array([operations.ROWS[points[int(each)], int(each)] for each in ids], dtype=np.float64)
    cosines = unit(embeddings @ texts.T) @ unit(embeddings[:5] @ texts.T).T
    assert np.abs(rows @ rows[:5].T - cosines).max() <= 1e-5
    for query in range(2):
        exact = dict(zip(ids, cosines[:, query], strict=True))
        hits = products.search(embedding=embeddings[query], criterion=name, limit=10, search_params=EXACT)
        assert [hit.score for hit in hits] == pytest.approx(sorted(exact.values(), reverse=True)[:10], abs=1e-3)
        assert [hit.score for hit in hits] == pytest.approx([exact[hit.id] for hit in hits], abs=1e-3)
