"""A process killed with -9, wherever it is: nothing acknowledged is lost, and what was begun can be finished."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import random_operations as operations
from check_after_kill import check_after_kill
from fakes import conditional_cosines, unit
from killed_processes import processes, run_and_die, told, walk
from waiting import ended_after, wait_until

from crl_qdrant import Criterion, CriterionState, CRLCollection
from crl_qdrant.cli.app import main

NUMBER, DIMENSION = 6000, 16
RNG = np.random.default_rng(21)
ROWS = unit(RNG.normal(size=(NUMBER, DIMENSION)) + 0.5).astype(np.float32)
TEXTS = unit(RNG.normal(size=(6, DIMENSION)))
STYLE = Criterion("style", list("abcdef"), embeddings=TEXTS, preset="paper")


def kill(folder: Path, arguments: list[str], call: str, number: int) -> None:
    """Run the command until its store has made this many calls, and no further."""
    process = processes().Process(target=run_and_die, args=(folder, arguments, call, number), daemon=True)
    process.start()
    with ended_after(process):
        process.join()
        assert process.exitcode == -signal.SIGKILL


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


def test_ingest(catalog: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["ingest", "catalog.csv", "--id-column", "id", "--embeddings", "vectors.npy", "--batch-size", "40"]
    for number in (1, 30, 60):
        kill(catalog, command, "upsert", number)
    monkeypatch.chdir(catalog)
    monkeypatch.setattr(sys, "argv", ["crl-qdrant", *command, "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    report = json.loads(capsys.readouterr().out)
    assert report["unchanged"] == 91 * 40
    assert report["written"] == NUMBER - report["unchanged"]
    check(catalog, criteria=False)


@pytest.mark.parametrize("number", [1, 3])
def test_materialize(catalog: Path, number: int) -> None:
    with CRLCollection.create("products", location=catalog / "data", dimension=DIMENSION) as products:
        products.add(ids=range(NUMBER), embeddings=ROWS, payloads=[{"group": n % 7} for n in range(NUMBER)])
        products.define(STYLE)
    kill(catalog, ["materialize", "style"], "update_vectors", number)
    with CRLCollection.open("products", location=catalog / "data") as products:
        # half done is not done: the search uses the scan, which is exact
        representation = unit(ROWS.astype(np.float64) @ TEXTS.T)
        expected = np.sort(representation @ representation[0])[::-1][:10]
        hits = products.search(embedding=ROWS[0], criterion="style", limit=10)
        assert [hit.score for hit in hits] == pytest.approx(expected, abs=1e-3)
        products.materialize("style")
    check(catalog, criteria=True)


SEED, KILLS = 11, 30


@pytest.mark.slow
def test_thirty_kills(tmp_path: Path) -> None:
    """Half of them at any moment, half between two writes of Edge that belong together."""
    data, log = tmp_path / "data", tmp_path / "log"
    expected = operations.collection(data)
    context, shard = processes(), data / "products" / "shard"
    for kill in range(KILLS):
        rng = random.Random(f"{SEED} {kill}")
        log.unlink(missing_ok=True)
        process = context.Process(target=walk, args=(data, log, f"{SEED} {kill}", expected), daemon=True)
        process.start()
        with ended_after(process):
            number, seconds = rng.randrange(1, 12), rng.random() * 0.03
            wait_until(partial(has_begun, log, number), process)
            if kill % 2:
                wait_until(partial(is_between_two_writes, shard, log, number + 60), process)
            else:
                time.sleep(seconds)  # any moment will do
        assert process.exitcode == -signal.SIGKILL
        try:
            expected = check_after_kill(data, expected, told(log))
        except BaseException as error:
            raise AssertionError(f"kill {kill} of seed {SEED} after {told(log)}") from error


def has_begun(log: Path, number: int) -> bool:
    return len(told(log)) >= number


def is_between_two_writes(shard: Path, log: Path, last: int) -> bool:
    """Whether Edge is adding or removing a named vector, which it notes in several files one after the other.

    Also true once the walk has begun its last operation: the moment may be missed again and again.
    """
    if has_begun(log, last):
        return True
    try:
        wanted = json.loads((shard / "edge_config.json").read_text())["vectors"]
        segments = [json.loads(path.read_text())["config"] for path in shard.glob("segments/*/segment.json")]
    except (FileNotFoundError, json.JSONDecodeError):  # optimized away, or half written
        return False
    return any({*segment["vector_data"]} != {*wanted} for segment in segments)
