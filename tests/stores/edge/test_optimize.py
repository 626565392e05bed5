"""A directory has one owner, also while another process builds its index; this one goes on, and can be stopped."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge
from fakes import unit
from waiting import ctrl_c_when, ended_after, wait_on_loop_until, wait_until

from crl_qdrant import AsyncCRLCollection, Criterion, CRLCollection, LockedError, StoreError
from crl_qdrant.stores.edge import optimize as edge_optimize
from crl_qdrant.stores.edge.lock import DirectoryLock

ROWS = unit(np.random.default_rng(2).normal(size=(40, 6)))
WAITING = """
import pathlib, sys, time

shard = pathlib.Path(sys.argv[1])
(shard / "begun").touch()
while not (shard / "go").exists():
    time.sleep(0.01)
"""


@pytest.fixture
def products(tmp_path: Path) -> CRLCollection:
    made = CRLCollection.create("products", location=tmp_path, dimension=6)
    made.add(range(40), embeddings=ROWS)
    return made


def works(products: CRLCollection) -> bool:
    return products.count() == 40 and products.search(embedding=ROWS[3], limit=1)[0].id == 3


def test_the_collection_is_the_same_afterwards(products: CRLCollection) -> None:
    products.optimize()
    assert works(products)
    products.add([40], embeddings=ROWS[:1])
    products.optimize()
    assert products.count() == 41
    products.close()
    with pytest.raises(StoreError, match="closed; open it again"):
        products.optimize()


def test_an_event_loop_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # were the loop blocked, nobody could ever make the file that is waited for
    monkeypatch.setattr(edge_optimize, "_PROGRAM", WAITING)

    async def live() -> None:
        async with await AsyncCRLCollection.create("products", location=tmp_path, dimension=6) as products:
            await products.add(range(40), embeddings=ROWS)
            shard = tmp_path / "products" / "shard"
            building = asyncio.create_task(products.optimize())
            counting = asyncio.create_task(products.count())
            await wait_on_loop_until((shard / "begun").exists)
            assert not building.done()
            (shard / "go").touch()
            await building
            assert await counting == 40

    asyncio.run(asyncio.wait_for(live(), timeout=60))


def test_what_goes_wrong_is_told_and_leaves_the_collection_open(
    products: CRLCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_optimize, "_PROGRAM", "import sys\nsys.exit('no space left')")
    with pytest.raises(StoreError, match=r"building the index failed \(1\): no space left"):
        products.optimize()
    assert works(products)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(StoreError, match="'/nowhere/python' cannot be started"):
        products.optimize()
    assert works(products)


def test_ctrl_c_stops_it(products: CRLCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_optimize, "_PROGRAM", WAITING)
    with pytest.raises(KeyboardInterrupt), ctrl_c_when((tmp_path / "products" / "shard" / "begun").exists):
        products.optimize()
    assert works(products)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process goes on until it is done")
def test_it_dies_with_its_owner(products: CRLCollection, tmp_path: Path) -> None:
    products.close()
    program = (
        "from crl_qdrant import CRLCollection\n"
        "from crl_qdrant.stores.edge import optimize as edge_optimize\n"
        'program = edge_optimize._PROGRAM.replace(\'opened.optimize()\', \'open("begun", "w")\\n'
        "import time\\ntime.sleep(600)')\n"
        "edge_optimize._PROGRAM = program\n"
        "CRLCollection.open('products', location='.').optimize()\n"
    )
    with ended_after(subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)) as owner:
        wait_until((tmp_path / "begun").exists, owner)
        with pytest.raises(LockedError, match="open already"):
            CRLCollection.open("products", location=tmp_path)
    # the index builder is killed with its owner, a little later where the machine is busy
    wait_until(lambda: can_be_locked(tmp_path / "products"))
    with CRLCollection.open("products", location=tmp_path) as again:
        assert works(again)


def can_be_locked(directory: Path) -> bool:
    try:
        DirectoryLock(directory).release()
    except BlockingIOError:
        return False
    return True


def test_a_refused_open_changes_nothing(products: CRLCollection, tmp_path: Path) -> None:
    shard = tmp_path / "products" / "shard"
    products.define(Criterion("cut", list("xyz"), embeddings=ROWS[:3]))
    products.add(range(40, 60), embeddings=ROWS[:20])
    before = {path: path.stat().st_mtime_ns for path in shard.rglob("*")}
    with pytest.raises(LockedError, match="open already"):
        CRLCollection.open("products", location=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in shard.rglob("*")} == before
    products.materialize("cut")
    products.optimize()
    assert products.search(embedding=ROWS[3], criterion="cut", limit=1)[0].score == pytest.approx(1)
    products.close()
    another = edge.EdgeShard.load(str(shard))  # a program of somebody's own, which does not know our lock
    before = {path: path.stat().st_mtime_ns for path in shard.rglob("*")}
    with pytest.raises(LockedError, match="open already"):
        CRLCollection.open("products", location=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in shard.rglob("*")} == before
    another.close()
    with CRLCollection.open("products", location=tmp_path) as again:
        assert again.count() == 60


def test_nobody_else_gets_it_while_its_index_is_built(
    products: CRLCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = tmp_path / "products" / "shard"
    monkeypatch.setattr(edge_optimize, "_PROGRAM", WAITING)
    building = threading.Thread(target=products.optimize)
    building.start()
    try:
        wait_until((shard / "begun").exists)
        with pytest.raises(LockedError):
            CRLCollection.open("products", location=tmp_path)
        assert building.is_alive()
    finally:
        (shard / "go").touch()
        building.join()
    assert works(products)


def test_the_process_may_go_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with CRLCollection.create("products", location="data", dimension=6) as products:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        products.add(range(40), embeddings=ROWS)
        products.optimize()
        assert works(products)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_does_not_let_go_of_it(products: CRLCollection, tmp_path: Path) -> None:
    hold = products._store._hold  # type: ignore[attr-defined]
    child = os.fork()
    if not child:  # whatever happens here, the child must not run the other tests
        status = 1
        try:
            hold.release()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(BlockingIOError):
        DirectoryLock(tmp_path / "products")
    assert works(products)
