"""The scan on its own: chunks, freed rows, many criteria; by torch and by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import conditional_cosines, unit

from crl_qdrant.criteria.space import RAW, Space
from crl_qdrant.projection.projector import Projector
from crl_qdrant.projection.stored import StoredProjection
from crl_qdrant.search.memory import scan as module
from crl_qdrant.search.memory.engine import Engine, NumpyEngine
from crl_qdrant.search.memory.scan import Scan
from crl_qdrant.search.memory.torch_engine import TorchEngine

RNG = np.random.default_rng(11)
TEXTS = unit(RNG.normal(size=(5, 8)))
PROJECTOR = Projector("cpu")
NO_PROJECTION = Space(RAW, "image", True, None, PROJECTOR)


def style(scale: float = 1.0) -> Space:
    """A criterion's space by the paper's form; another scale gives another key and the same representations."""
    words, singular, directions = np.linalg.svd(TEXTS, full_matrices=False)
    matrix = (scale * directions.T * singular).astype(np.float32)
    projection = StoredProjection(matrix, np.zeros(5, dtype=np.float32), words.astype(np.float32))
    return Space("style", "style", False, projection, PROJECTOR)


STYLE = style()


@pytest.fixture(params=["torch", "numpy"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return TorchEngine(torch.device("cpu")) if request.param == "torch" else NumpyEngine()


@pytest.fixture(params=["torch", "numpy"])
def small(request: pytest.FixtureRequest) -> Engine:
    return TorchEngine(torch.device("cpu"), chunk=16, block=4) if request.param == "torch" else NumpyEngine(chunk=16)


def query(row: np.ndarray) -> np.ndarray:
    assert STYLE.projection is not None
    return STYLE.projection.represent(row[None].astype(np.float32))[0]


def check(scan: Scan, stored: dict[int, np.ndarray], row: np.ndarray) -> None:
    found = scan.search([(STYLE, query(row)[None])], limit=len(stored) + 5)[0]
    assert {each for each, _ in found} == set(stored)
    expected = conditional_cosines(np.stack([row, *stored.values()]), TEXTS)[0, 1:]
    assert [score for _, score in found] == pytest.approx(np.sort(expected)[::-1], abs=2e-3)


def test_any_order_of_writes_and_removals_across_chunks(small: Engine) -> None:
    scan, stored = Scan(8, small), dict[int, np.ndarray]()
    for _ in range(40):
        ids = RNG.choice(100, size=int(RNG.integers(1, 30)), replace=False).tolist()
        if RNG.random() < 0.35:
            scan.remove(ids)
            for each in ids:
                stored.pop(each, None)
        else:
            rows = unit(RNG.normal(size=(len(ids), 8))).astype(np.float32)
            scan.put(ids, rows)
            stored.update(zip(ids, rows, strict=True))
        assert len(scan) == len(stored)
        if stored:
            check(scan, stored, unit(RNG.normal(size=8)).astype(np.float32))


def test_choosing_among_ids_and_leaving_one_out(engine: Engine) -> None:
    scan = Scan(8, engine)
    rows = unit(RNG.normal(size=(50, 8))).astype(np.float32)
    scan.put(range(50), rows)
    wanted = [(STYLE, query(rows[0])[None])]
    ranking = [each for each, _ in scan.search(wanted, limit=50)[0]]
    (chosen,) = scan.search(wanted, limit=50, among=[1, 5, 9, 777], without=[5])
    assert [each for each, _ in chosen] == [each for each in ranking if each in (1, 9)]
    assert scan.search(wanted, limit=5, among=[]) == [[]]


def test_only_so_many_criteria_are_held(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CRITERIA_HELD", 2)
    scan = Scan(8, engine)
    rows = unit(RNG.normal(size=(20, 8))).astype(np.float32)
    scan.put(range(20), rows)
    first, second, third = style(1.0), style(2.0), style(3.0)
    for space in (first, second, first, third):
        assert scan.search([(space, query(rows[3])[None])], limit=1)[0][0][0] == 3
    assert list(scan._projected) == [first.key, third.key]


@pytest.mark.parametrize("limit", [1, 10, 1000, 9000])
def test_the_best_of_many_rows_are_those_that_sorting_finds(engine: Engine, limit: int) -> None:
    scan = Scan(8, engine)
    # all but a few point away from the queries: what is not an answer must not look better than what is
    rows = unit(RNG.normal(size=(9000, 8)) - 5 * np.eye(8)[0]).astype(np.float32)
    rows[7000:7005] *= -1
    scan.put(range(9000), rows)
    scan.remove(range(0, 4000, 2))
    queries = unit(RNG.normal(size=(3, 8)) + 9 * np.eye(8)[0]).astype(np.float32)
    found = scan.search([(NO_PROJECTION, queries)], limit=limit)
    there = [n for n in range(9000) if n >= 4000 or n % 2]
    for query, pairs in zip(queries, found, strict=True):
        scores = rows[there].astype(np.float64) @ query
        assert [score for _, score in pairs] == pytest.approx(np.sort(scores)[::-1][:limit], abs=1e-3)
        best = {there[at] for at in np.argsort(-scores)[: min(limit, 5)]}
        assert best == {each for each, _ in pairs[: min(limit, 5)]} == {*range(7000, 7005)} or limit == 1


def test_sums_of_products_in_two_spaces(small: Engine) -> None:
    scan = Scan(8, small)
    rows = unit(RNG.normal(size=(200, 8))).astype(np.float32)
    scan.put(range(200), rows)
    directions = (2.0 * query(rows[3])[None], -0.5 * rows[5][None])
    (found,) = scan.search([(STYLE, directions[0]), (NO_PROJECTION, directions[1])], limit=30)
    expected = STYLE.represent(rows) @ directions[0][0] + rows @ directions[1][0]
    assert [score for _, score in found] == pytest.approx(np.sort(expected)[::-1][:30], abs=5e-3)
    assert [score for _, score in found] == pytest.approx([expected[each] for each, _ in found], abs=5e-3)


def test_a_page_is_part_of_a_longer_one_also_among_twins() -> None:
    scan = Scan(8, TorchEngine(torch.device("cpu")))
    rows = np.concatenate([unit(RNG.normal(size=(300, 8)))] * 30)
    rows += RNG.normal(scale=1e-7, size=rows.shape) * (RNG.random((len(rows), 1)) < 0.5)
    scan.put(range(len(rows)), rows.astype(np.float32))
    queries = np.stack([query(row) for row in rows[:4].astype(np.float32)])
    every = scan.search([(STYLE, queries)], limit=len(rows))
    for limit in (1, 7, 40, 500):
        together = scan.search([(STYLE, queries)], limit=limit)
        assert together == [found[:limit] for found in every]
        assert scan.search([(STYLE, queries[:1])], limit=limit) == together[:1]


def test_equal_scores_are_in_the_order_of_ids(engine: Engine) -> None:
    scan = Scan(8, engine)
    uuids = [f"{n:032x}"[:8] + "-0000-0000-0000-000000000000" for n in (0, 2)]
    scan.put([*range(40, 0, -1), *uuids], np.stack([np.eye(8, dtype=np.float32)[n % 2] for n in range(42)]))
    (found,) = scan.search([(NO_PROJECTION, np.eye(8, dtype=np.float32)[:1])], limit=50)
    assert [point for point, score in found if score == 1.0] == [*range(2, 41, 2), uuids[0]]


def test_many_queries_are_each_query_alone(engine: Engine) -> None:
    scan = Scan(8, engine)
    rows = unit(RNG.normal(size=(20_000, 8))).astype(np.float32)
    scan.put(range(20_000), rows)
    scan.remove(range(100, 200))
    queries = np.stack([query(row) for row in rows[:150]])
    together = scan.search([(STYLE, queries)], limit=5, without=[3])
    for row, found in zip(queries, together, strict=True):
        (alone,) = scan.search([(STYLE, row[None])], limit=5, without=[3])
        assert [score for _, score in found] == pytest.approx([score for _, score in alone], abs=1e-6)
        assert {each for each, _ in found} == {each for each, _ in alone}
