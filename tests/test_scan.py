"""The scan on its own: chunks, freed rows, many criteria."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import conditional_cosines, unit

from crl_qdrant.options import PRESETS
from crl_qdrant.projection import projection_of
from crl_qdrant.search import scan as module
from crl_qdrant.search.scan import Scan

RNG = np.random.default_rng(11)
TEXTS = unit(RNG.normal(size=(5, 8)))
PROJECTION = projection_of(torch.tensor(TEXTS), PRESETS["paper"])


def query(row: np.ndarray) -> np.ndarray:
    found = row @ PROJECTION.matrix.numpy()
    return np.asarray(found / np.linalg.norm(found), dtype=np.float32)


def check(scan: Scan, stored: dict[int, np.ndarray], row: np.ndarray) -> None:
    found = scan.search(query(row)[None], PROJECTION, key="style", limit=len(stored) + 5)[0]
    assert {each for each, _ in found} == set(stored)
    expected = conditional_cosines(np.stack([row, *stored.values()]), TEXTS)[0, 1:]
    assert [score for _, score in found] == pytest.approx(np.sort(expected)[::-1], abs=2e-3)


def test_any_order_of_writes_and_removals_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 16)
    scan, stored = Scan(8, torch.device("cpu")), dict[int, np.ndarray]()
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


def test_choosing_among_ids_and_leaving_one_out() -> None:
    scan = Scan(8, torch.device("cpu"))
    rows = unit(RNG.normal(size=(50, 8))).astype(np.float32)
    scan.put(range(50), rows)
    ranking = [each for each, _ in scan.search(query(rows[0])[None], PROJECTION, key="style", limit=50)[0]]
    (chosen,) = scan.search(query(rows[0])[None], PROJECTION, key="style", limit=50, among=[1, 5, 9, 777], without=[5])
    assert [each for each, _ in chosen] == [each for each in ranking if each in (1, 9)]
    assert scan.search(query(rows[0])[None], PROJECTION, key="style", limit=5, among=[]) == [[]]


def test_only_so_many_criteria_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CRITERIA_HELD", 2)
    scan = Scan(8, torch.device("cpu"))
    rows = unit(RNG.normal(size=(20, 8))).astype(np.float32)
    scan.put(range(20), rows)
    for key in ("a", "b", "a", "c"):
        assert scan.search(query(rows[3])[None], PROJECTION, key=key, limit=1)[0][0][0] == 3
    assert list(scan._projected) == ["a", "c"]


@pytest.mark.parametrize("columns", [128 * 64, 128 * 64 - 1, 200])
def test_the_best_of_many_rows_are_those_that_sorting_finds(columns: int) -> None:
    scores = torch.tensor(RNG.normal(size=(7, columns)))
    scores[2, 100:] = -torch.inf
    for limit in (1, 10, 100):
        values, positions = module._top_of_rows(scores, limit)
        assert torch.equal(values, scores.topk(limit, dim=1).values)
        assert torch.equal(scores.gather(1, positions), values)


def test_many_queries_are_each_query_alone() -> None:
    scan = Scan(8, torch.device("cpu"))
    rows = unit(RNG.normal(size=(40_000, 8))).astype(np.float32)
    scan.put(range(40_000), rows)
    scan.remove(range(100, 200))
    queries = np.stack([query(row) for row in rows[:150]])
    together = scan.search(queries, PROJECTION, key="style", limit=5, without=[3])
    for row, found in zip(queries, together, strict=True):
        (alone,) = scan.search(row[None], PROJECTION, key="style", limit=5, without=[3])
        assert [score for _, score in found] == pytest.approx([score for _, score in alone], abs=1e-6)
        assert {each for each, _ in found} == {each for each, _ in alone}
