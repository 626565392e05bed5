"""The scan on its own: chunks, freed rows, many criteria."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import conditional_cosines, unit

from crl_qdrant.projection.build import build_projection
from crl_qdrant.projection.on_device import on_device
from crl_qdrant.projection.options import PRESETS
from crl_qdrant.search.memory import scan as module
from crl_qdrant.search.memory.scan import Scan

RNG = np.random.default_rng(11)
TEXTS = unit(RNG.normal(size=(5, 8)))
PROJECTION = on_device(build_projection(TEXTS, PRESETS["paper"]))


def query(row: np.ndarray) -> np.ndarray:
    found = row @ PROJECTION.matrix.numpy()
    return np.asarray(found / np.linalg.norm(found), dtype=np.float32)


def check(scan: Scan, stored: dict[int, np.ndarray], row: np.ndarray) -> None:
    found = scan.search(query(row)[None], PROJECTION, key="style", limit=len(stored) + 5)[0]
    assert {each for each, _ in found} == set(stored)
    expected = conditional_cosines(np.stack([row, *stored.values()]), TEXTS)[0, 1:]
    assert [score for _, score in found] == pytest.approx(np.sort(expected)[::-1], abs=2e-3)


def test_any_order_of_writes_and_removals_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_CHUNK", 16), ("_BLOCK", 4), ("_BLOCKS", 4)):
        monkeypatch.setattr(module, name, value)
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


@pytest.mark.parametrize("limit", [1, 10, 1000, 9000])
def test_the_best_of_many_rows_are_those_that_sorting_finds(limit: int) -> None:
    scan = Scan(8, torch.device("cpu"))
    # all but a few point away from the queries: what is not an answer must not look better than what is
    rows = unit(RNG.normal(size=(9000, 8)) - 5 * np.eye(8)[0]).astype(np.float32)
    rows[7000:7005] *= -1
    scan.put(range(9000), rows)
    scan.remove(range(0, 4000, 2))
    queries = unit(RNG.normal(size=(3, 8)) + 9 * np.eye(8)[0]).astype(np.float32)
    found = scan.search(queries, None, key="image", limit=limit)
    there = [n for n in range(9000) if n >= 4000 or n % 2]
    for query, pairs in zip(queries, found, strict=True):
        scores = rows[there].astype(np.float64) @ query
        assert [score for _, score in pairs] == pytest.approx(np.sort(scores)[::-1][:limit], abs=1e-3)
        best = {there[at] for at in np.argsort(-scores)[: min(limit, 5)]}
        assert best == {each for each, _ in pairs[: min(limit, 5)]} == {*range(7000, 7005)} or limit == 1


def test_a_page_is_part_of_a_longer_one_also_among_twins() -> None:
    scan = Scan(8, torch.device("cpu"))
    rows = np.concatenate([unit(RNG.normal(size=(300, 8)))] * 30)
    rows += RNG.normal(scale=1e-7, size=rows.shape) * (RNG.random((len(rows), 1)) < 0.5)
    scan.put(range(len(rows)), rows.astype(np.float32))
    queries = np.stack([query(row) for row in rows[:4].astype(np.float32)])
    every = scan.search(queries, PROJECTION, key="style", limit=len(rows))
    for limit in (1, 7, 40, 500):
        together = scan.search(queries, PROJECTION, key="style", limit=limit)
        assert together == [found[:limit] for found in every]
        assert scan.search(queries[:1], PROJECTION, key="style", limit=limit) == together[:1]


def test_equal_scores_are_in_the_order_of_rows() -> None:
    scan = Scan(8, torch.device("cpu"))
    scan.put(range(40, 0, -1), np.stack([np.eye(8, dtype=np.float32)[n % 2] for n in range(40)]))
    (found,) = scan.search(np.eye(8, dtype=np.float32)[:1], None, key="image", limit=20)
    assert found == [(n, 1.0) for n in range(40, 0, -2)]


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
