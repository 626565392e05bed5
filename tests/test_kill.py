"""A process killed with -9, wherever it is: nothing acknowledged is lost, and what was begun can be finished."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import random_walk
from fakes import conditional_cosines, unit
from random_walk import Expected

from crl_qdrant import Criterion, CriterionState, CRLCollection
from crl_qdrant.collection import CriterionInfo
from crl_qdrant.manifest import Manifest

NUMBER, DIMENSION = 6000, 16
RNG = np.random.default_rng(21)
ROWS = unit(RNG.normal(size=(NUMBER, DIMENSION)) + 0.5).astype(np.float32)
TEXTS = unit(RNG.normal(size=(6, DIMENSION)))
STYLE = Criterion("style", list("abcdef"), embeddings=TEXTS, preset="paper")


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "crl_qdrant.cli.app", *arguments]


def start_and_kill(command: list[str], folder: Path, watched: Path, after_s: float) -> bool:
    """Starts the command, kills it some time after it began to write; whether it was still at work then."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = _size(watched)
    while process.poll() is None and _size(watched) == before:
        time.sleep(0.002)
    time.sleep(after_s)
    at_work = process.poll() is None
    if at_work:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return at_work


def _size(folder: Path) -> list[tuple[str, int]]:
    """What changes when something is written: the write-ahead log and the metadata."""
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            found.append((path.name, path.stat().st_mtime_ns))
        except FileNotFoundError:  # renamed meanwhile
            continue
    return found


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    keys = "\n".join(f"{number},{number % 7}" for number in range(NUMBER))
    (tmp_path / "catalog.csv").write_text(f"id,group\n{keys}\n")
    np.save(tmp_path / "vectors.npy", ROWS)
    return tmp_path


def check(folder: Path, *, criteria: bool) -> None:
    with CRLCollection.open("products", location=folder / "data") as products:
        ids, rows = products.representations()
        assert sorted(map(int, ids)) == list(range(NUMBER))
        assert np.allclose(rows[np.argsort(ids)], ROWS, atol=1e-6)
        assert products.search(embedding=ROWS[5], limit=1)[0].payload is not None
        if criteria:
            assert products.info().criteria[0].state is CriterionState.MATERIALIZED
            ids, rows = products.representations("style")
            assert len(ids) == products.info().criteria[0].points == NUMBER
            order = np.argsort(ids)[:500]
            assert np.abs(rows[order] @ rows[order].T - conditional_cosines(ROWS[:500], TEXTS)).max() <= 1e-5


def test_ingest(catalog: Path) -> None:
    command = program("ingest", "catalog.csv", "--id-column", "id", "--embeddings", "vectors.npy", "--batch-size", "40")
    killed = [start_and_kill(command, catalog, catalog / "data", after) for after in (0.0, 0.1, 0.25)]
    assert any(killed)
    done = subprocess.run([*command, "--json"], cwd=catalog, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["written"] + report["unchanged"] == NUMBER
    assert report["unchanged"] > 0
    check(catalog, criteria=False)


def test_materialize(catalog: Path) -> None:
    with CRLCollection.create("products", location=catalog / "data", dimension=DIMENSION) as products:
        products.add(ids=range(NUMBER), embeddings=ROWS, payloads=[{"group": n % 7} for n in range(NUMBER)])
        products.define(STYLE)
    code = (
        "from crl_qdrant import CRLCollection\n"
        "with CRLCollection.open('products', location='data') as products:\n"
        "    products.materialize('style', batch_size=40)\n"
    )
    command = [sys.executable, "-c", code]
    killed = [start_and_kill(command, catalog, catalog / "data", after) for after in (0.0, 0.05, 0.15)]
    assert any(killed)
    with CRLCollection.open("products", location=catalog / "data") as products:
        # half done is not done: the search goes by the scan, which is exact
        representation = unit(ROWS.astype(np.float64) @ TEXTS.T)
        expected = np.sort(representation @ representation[0])[::-1][:10]
        hits = products.search(embedding=ROWS[0], criterion="style", limit=10)
        assert [hit.score for hit in hits] == pytest.approx(expected, abs=1e-3)
    subprocess.run(program("materialize", "style"), cwd=catalog, capture_output=True, check=True)
    check(catalog, criteria=True)


SEED, KILLS = 11, 30


def test_thirty_kills_at_random_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what is killed is forked from a process that has imported everything already
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["random_walk", "crl_qdrant.projection", "crl_qdrant.stores.edge"])
    expected = Expected({}, {}, {}, frozenset())
    data, log = tmp_path / "data", tmp_path / "log"
    with CRLCollection.create("products", location=data, dimension=random_walk.DIMENSION) as products:
        for operation in (["add", 0, 2000, 0], ["define", "style", 0], ["materialize", "style"]):
            random_walk.carry_out(products, operation)
            expected = expected.after(operation)
    for kill in range(KILLS):
        rng = random.Random(f"{SEED} {kill}")
        log.unlink(missing_ok=True)
        process = processes.Process(target=random_walk.walk, args=(data, log, f"{SEED} {kill}", expected))
        process.start()
        operations, seconds = rng.randrange(1, 12), rng.random() * 0.03
        while process.is_alive() and len(list(random_walk.told(log))) < operations:
            time.sleep(0.001)
        if kill % 2:
            seconds = 0.0
            while process.is_alive() and not between_two_writes(data / "products" / "shard"):
                pass
        time.sleep(seconds)
        died_of_itself = process.exitcode
        process.kill()
        process.join()
        told = list(random_walk.told(log))
        try:
            assert died_of_itself is None
            expected = outcome(data, expected, told)
        except BaseException as error:
            raise AssertionError(
                f"kill {kill} of seed {SEED}, {1000 * seconds:.1f} ms into the last of {told}"
            ) from error


def between_two_writes(shard: Path) -> bool:
    """Whether Edge is about to add or remove a named vector: it says so in several files, one after the other."""
    try:
        wanted = json.loads((shard / "edge_config.json").read_text())["vectors"]
        segments = [json.loads(path.read_text())["config"] for path in shard.glob("segments/*/segment.json")]
    except FileNotFoundError:  # optimised away meanwhile
        return False
    return any({*segment["vector_data"]} != {*wanted} for segment in segments)


def outcome(data: Path, expected: Expected, told: list[tuple[random_walk.Operation, bool]]) -> Expected:
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
        for name in served:
            products.materialize(name)
        served = {each.name: version_of(each) for each in products.info().criteria}
        for each in products.info().criteria:
            assert (each.state, each.points, each.pending) == (CriterionState.MATERIALIZED, len(points), False)
            assert served[each.name] in [each_allowed.wanted.get(each.name) for each_allowed in allowed]
            check_criterion(products, each.name, served[each.name], points)
        store = products._store
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
    payloads = {record.id: record.payload for record in products._store.retrieve(ids)}
    points = {int(each): int((payloads[each] or {})["generation"]) for each in ids}
    assert np.array_equal(rows, np.array([random_walk.ROWS[points[int(each)], int(each)] for each in ids]))
    for each in {*points, *(each for one in allowed for each in one.points)}:
        assert points.get(each) in [one.points.get(each) for one in allowed]
    return points


def check_criterion(products: CRLCollection, name: str, version: int, points: dict[int, int]) -> None:
    """Every representation is of the version that searches go by, and they find what the paper's formula finds."""
    texts = random_walk.TEXTS[version]
    assert np.allclose(products.criterion(name).embeddings, texts, atol=1e-6)
    ids, rows = products.representations(name)
    assert {*ids} == {*points}
    embeddings = np.array([random_walk.ROWS[points[int(each)], int(each)] for each in ids], dtype=np.float64)
    cosines = unit(embeddings @ texts.T) @ unit(embeddings[:5] @ texts.T).T
    assert np.abs(rows @ rows[:5].T - cosines).max() <= 1e-5
    for query in range(2):
        exact = dict(zip(ids, cosines[:, query], strict=True))
        hits = products.search(embedding=embeddings[query], criterion=name, limit=10)
        assert [hit.score for hit in hits] == pytest.approx(sorted(exact.values(), reverse=True)[:10], abs=1e-3)
        assert [hit.score for hit in hits] == pytest.approx([exact[hit.id] for hit in hits], abs=1e-3)
