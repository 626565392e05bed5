"""Every state that a kill between two writes of Edge can leave is opened again, and what was begun can be finished."""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import random_operations as operations
from check_after_kill import check_after_kill
from killed_processes import die, processes
from random_operations import Operation
from waiting import ended_after

from crl_qdrant import CriterionState, CRLCollection, LockedError, StoreError
from crl_qdrant.stores import create_store, open_store

DEFINED: list[Operation] = [["define", "style", 0]]
MATERIALIZED: list[Operation] = [*DEFINED, ["materialize", "style"]]
PENDING: list[Operation] = [*MATERIALIZED, ["define", "style", 1], ["add", 0, 50, 2]]
# what was done before, what is under way, and the call of the store in which it is killed
KILLS: dict[str, tuple[list[Operation], Operation, str]] = {
    "a first vector": (DEFINED, ["materialize", "style"], "create_vector"),
    "the vector of a pending version": (PENDING, ["materialize", "style"], "create_vector"),
    "the retired vector": (PENDING, ["materialize", "style"], "drop_vector"),
    "the vector of a dropped criterion": (PENDING, ["drop", "style"], "drop_vector"),
}


def killed(data: Path, operation: Operation, call: str) -> dict[str, str]:
    """What Edge's records were before that call; they are now as they are after it."""
    records = data / "records.json"
    process = processes().Process(target=die, args=(data, operation, call, records), daemon=True)
    process.start()
    with ended_after(process):
        process.join()
        assert process.exitcode == -signal.SIGKILL
    return dict(json.loads(records.read_text()))


@pytest.mark.parametrize("written", ["no record", "one segment's", "the other segment's", "both segments'"])
@pytest.mark.parametrize("kill", KILLS)
def test_a_kill_between_two_writes(tmp_path: Path, kill: str, written: str) -> None:
    first, operation, call = KILLS[kill]
    expected = operations.collection(tmp_path, *first)
    before = killed(tmp_path, operation, call)
    config, one, other = before  # Edge writes the segments' records in some order, then the configuration
    not_yet = {"no record": [one, other], "one segment's": [other], "the other segment's": [one]}.get(written, [])
    for path in (*not_yet, config):
        Path(path).write_text(before[path])
    check_after_kill(tmp_path, expected, [(operation, False)])


def test_a_criterion_changed_while_it_is_built(tmp_path: Path) -> None:
    expected = operations.collection(tmp_path, *DEFINED)
    killed(tmp_path, ["materialize", "style"], "update_vectors")
    before = killed(tmp_path, ["define", "style", 1], "drop_vector")
    for path in list(before)[:2]:
        Path(path).write_text(before[path])
    check_after_kill(tmp_path, expected, [(["define", "style", 1], False)])


def test_half_removed_files_of_a_vector(tmp_path: Path) -> None:
    expected = operations.collection(tmp_path, *MATERIALIZED)
    before = killed(tmp_path, ["drop", "style"], "drop_vector")
    config, *_ = before
    Path(config).write_text(before[config])
    for segment in Path(config).parent.glob("segments/*"):
        (segment / "vector_storage-crl_style" / "vectors").mkdir(parents=True)
        (segment / "vector_storage-crl_style" / "vectors" / "chunk_0.mmap").write_bytes(b"\0" * 64)
    check_after_kill(tmp_path, expected, [(["drop", "style"], False)])


@pytest.mark.parametrize("again", [None, 1], ids=["dropped", "defined otherwise"])
def test_points_with_a_vector_that_is_gone(tmp_path: Path, again: int | None) -> None:
    # Edge, opened after a kill, leaves out what no longer fits: the points, where it has to write them once more
    done: list[Operation] = [*MATERIALIZED, ["add", 2000, 2300, 3], ["delete", 0, 100], ["drop", "style"]]
    if again is not None:
        done += [["define", "style", again], ["materialize", "style"]]
    data, log = tmp_path / "data", [(operation, True) for operation in done]
    expected = operations.collection(data)
    with CRLCollection.open("products", location=data) as products:
        for operation in done:
            operations.carry_out(products, operation)
        shutil.copytree(data, tmp_path / "killed")
    check_after_kill(tmp_path / "killed", expected, log)


@pytest.mark.parametrize("gone", ["image", "image~2"])
def test_raw_embeddings_of_one_encoder_of_two(tmp_path: Path, gone: str) -> None:
    ids, rows = list(range(6)), operations.ROWS[0, :6]
    with closing(create_store(tmp_path / "data", "products", {"image": operations.DIMENSION}, {})) as store:
        store.upsert(ids, {"image": rows}, [{}] * 6)
        store.create_vector("image~2", 4)
        store.update_vectors(ids, {"image~2": operations.unit(rows[:, :4]).astype(np.float32)})
        config = tmp_path / "data" / "products" / "shard" / "edge_config.json"
        before = config.read_text()
        store.drop_vector(gone)
        shutil.copytree(tmp_path / "data", tmp_path / "killed")
    (tmp_path / "killed" / config.relative_to(tmp_path / "data")).write_text(before)
    with closing(open_store(tmp_path / "killed", "products")) as store:
        assert {*store.vector_sizes()} == {"image", "image~2"} - {gone}
        (kept,) = store.vector_sizes()
        assert [len(page) for page, _ in store.scroll(vector=kept)] == [6]


def test_what_cannot_be_mended(tmp_path: Path) -> None:
    operations.collection(tmp_path, *MATERIALIZED)
    shard = tmp_path / "products" / "shard"
    path = next(shard.glob("segments/*/segment.json"))
    whole = path.read_text()
    damaged = json.loads(whole)
    del damaged["config"]["vector_data"]["image"]
    config = shard / "edge_config.json"
    known = config.read_text()
    for text in (json.dumps(damaged), whole[:40], "[]"):
        path.write_text(text)
        with pytest.raises(StoreError, match=r"damaged.* restore the directory from a copy, or make the collection"):
            open_store(tmp_path, "products")
        assert path.read_text() == text
    path.write_text(whole)
    damaged = json.loads(known)
    del damaged["vectors"]["image"]
    config.write_text(json.dumps(damaged))
    with pytest.raises(StoreError, match="damaged"):
        open_store(tmp_path, "products")
    config.write_text(known)
    open_store(tmp_path, "products").close()


def test_what_another_process_has_open_is_not_mended(tmp_path: Path) -> None:
    operations.collection(tmp_path, *MATERIALIZED)
    path = next((tmp_path / "products" / "shard").glob("segments/*/segment.json"))
    whole = path.read_text()
    at_work = json.loads(whole)
    del at_work["config"]["vector_data"]["crl_style"]
    store = open_store(tmp_path, "products")
    path.write_text(json.dumps(at_work))
    with pytest.raises(LockedError, match="open already"):
        open_store(tmp_path, "products")
    assert json.loads(path.read_text()) == at_work
    path.write_text(whole)
    store.close()


def test_a_segment_that_lost_a_vector_costs_the_criterion_its_index_alone(tmp_path: Path) -> None:
    operations.collection(tmp_path, *MATERIALIZED)
    with CRLCollection.open("products", location=tmp_path) as products:
        expected = [hit.id for hit in products.search(embedding=operations.ROWS[0, 3], criterion="style", limit=5)]
    path = sorted((tmp_path / "products" / "shard").glob("segments/*/segment.json"))[0]
    segment = json.loads(path.read_text())
    del segment["config"]["vector_data"]["crl_style"]
    path.write_text(json.dumps(segment))
    with CRLCollection.open("products", location=tmp_path) as products:
        assert products.info().criteria[0].state is CriterionState.MISSING
        hits = products.search(embedding=operations.ROWS[0, 3], criterion="style", limit=5)
        assert ([hit.id for hit in hits], hits.plan.strategy) == (expected, "scan")
        assert products.materialize("style") == products.count()
        hits = products.search(embedding=operations.ROWS[0, 3], criterion="style", limit=5)
        assert ([hit.id for hit in hits], hits.plan.strategy) == (expected, "named")
