"""A process killed with -9, wherever it is: nothing acknowledged is lost, and what was begun can be finished."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import operations
import pytest
from fakes import conditional_cosines, unit
from killed import processes, told, walk
from outcome import outcome

from crl_qdrant import Criterion, CriterionState, CRLCollection

NUMBER, DIMENSION = 6000, 16
RNG = np.random.default_rng(21)
ROWS = unit(RNG.normal(size=(NUMBER, DIMENSION)) + 0.5).astype(np.float32)
TEXTS = unit(RNG.normal(size=(6, DIMENSION)))
STYLE = Criterion("style", list("abcdef"), embeddings=TEXTS, preset="paper")


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "crl_qdrant.cli", *arguments]


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


def test_thirty_kills(tmp_path: Path) -> None:
    """Half of them at any moment, half between two writes of Edge that belong together."""
    data, log = tmp_path / "data", tmp_path / "log"
    expected = operations.collection(data)
    context = processes()
    for kill in range(KILLS):
        rng = random.Random(f"{SEED} {kill}")
        log.unlink(missing_ok=True)
        process = context.Process(target=walk, args=(data, log, f"{SEED} {kill}", expected), daemon=True)
        process.start()
        begun, seconds = rng.randrange(1, 12), rng.random() * 0.03
        while process.is_alive() and len(told(log)) < begun:
            time.sleep(0.001)
        if kill % 2:
            while process.is_alive() and not between_two_writes(data / "products" / "shard"):
                pass
        else:
            time.sleep(seconds)
        at_work = process.is_alive()
        process.kill()
        process.join()
        try:
            assert at_work
            expected = outcome(data, expected, told(log))
        except BaseException as error:
            raise AssertionError(f"kill {kill} of seed {SEED} after {told(log)}") from error


def between_two_writes(shard: Path) -> bool:
    """Whether Edge is about to add or remove a named vector: it says so in several files, one after the other."""
    try:
        wanted = json.loads((shard / "edge_config.json").read_text())["vectors"]
        segments = [json.loads(path.read_text())["config"] for path in shard.glob("segments/*/segment.json")]
    except FileNotFoundError:  # optimised away meanwhile
        return False
    return any({*segment["vector_data"]} != {*wanted} for segment in segments)
