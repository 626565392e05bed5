"""The directory under Qdrant Edge: full, removed, crowded by leftovers, and a log that does not grow for ever."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from killed_processes import processes

from crl_qdrant import Criterion, CRLCollection, StoreError
from crl_qdrant.stores import create_store, open_store
from crl_qdrant.stores.edge import store as edge_store
from crl_qdrant.stores.json_file import read_json, write_json

RNG = np.random.default_rng(2)
ROWS = RNG.normal(size=(400, 8))
STYLE = Criterion("style", list("abcd"), embeddings=RNG.normal(size=(4, 8)))
PAYLOADS = [{"group": number % 3} for number in range(400)]


class Usage(NamedTuple):
    free: int


@pytest.fixture
def products(tmp_path: Path) -> CRLCollection:
    made = CRLCollection.create("products", location=tmp_path, dimension=8)
    made.add(range(200), embeddings=ROWS[:200], payloads=PAYLOADS[:200])
    made.define(STYLE)
    return made


WRITES: dict[str, Callable[[CRLCollection], Any]] = {
    "add": lambda products: products.add(range(200, 400), embeddings=ROWS[200:], batch_size=50),
    "delete": lambda products: products.delete([1, 2]),
    "tag": lambda products: products.tag("style"),
    "define": lambda products: products.define(Criterion("cut", list("ab"), embeddings=ROWS[:2])),
    "materialize": lambda products: products.materialize("style"),
    "drop": lambda products: products.drop_criterion("style"),
    "rename": lambda products: products.rename_criterion("style", "look"),
    "optimize": lambda products: products.optimize(),
}


@pytest.mark.parametrize("write", WRITES)
def test_on_a_full_disk_a_write_is_an_error(
    products: CRLCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: Usage(60_000_000))
        with pytest.raises(StoreError, match=r"the disk of .* is full: 60 MB are free, and this write needs 67 MB"):
            WRITES[write](products)
        assert products.count() == 200
        assert products.search(embedding=ROWS[1], criterion="style", limit=1)[0].id == 1
    WRITES[write](products)
    products.close()
    CRLCollection.open("products", location=tmp_path).close()


def test_a_disk_that_fills_up_costs_no_written_batch(
    products: CRLCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**9, 10**9, 10])
    with monkeypatch.context() as filling:
        filling.setattr(shutil, "disk_usage", lambda path: Usage(next(free)))
        with pytest.raises(StoreError, match="is full"):
            WRITES["add"](products)
    products.close()
    with CRLCollection.open("products", location=tmp_path) as again:
        assert again.count() == 300
        assert again.search(embedding=ROWS[299], limit=1)[0].id == 299


def test_a_large_payload_needs_its_space(products: CRLCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(70_000_000))
    assert products.add([900], embeddings=ROWS[:1]).written == 1
    with pytest.raises(StoreError, match="is full"):
        products.add([901], embeddings=ROWS[:1], payloads=[{"text": "x" * 1_000_000}])


def test_a_collection_is_not_created_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000))
    with pytest.raises(StoreError, match="is full"):
        CRLCollection.create("products", location=tmp_path, dimension=8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("gone", ["removed", "moved", "replaced"])
@pytest.mark.parametrize("write", WRITES)
def test_a_directory_that_is_gone_takes_no_write(
    products: CRLCollection, tmp_path: Path, write: str, gone: str
) -> None:
    directory, aside = tmp_path / "products", tmp_path / "aside"
    if gone == "removed":
        shutil.rmtree(directory)
    else:
        directory.rename(aside)
    if gone == "replaced":
        shutil.copytree(aside, directory)
    with pytest.raises(StoreError, match="was removed, moved or replaced while the collection was open"):
        WRITES[write](products)
    if gone != "removed":
        shutil.rmtree(directory, ignore_errors=True)
        aside.rename(directory)
        WRITES[write](products)


def die_creating(location: Path) -> None:
    write = edge_store.write_json

    def dying(path: Path, content: Any) -> None:
        write(path, content)
        os.kill(os.getpid(), signal.SIGKILL)

    edge_store.write_json = dying  # type: ignore[attr-defined]
    CRLCollection.create("products", location=location, dimension=8)


def test_drafts_of_killed_processes_are_removed_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        process = processes().Process(target=die_creating, args=(tmp_path,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".products-*"))) >= 1
    (tmp_path / ".products-of-my-own").mkdir()
    CRLCollection.create("products-0123abcd", location=tmp_path, dimension=8).close()
    at_work, go_on = threading.Event(), threading.Event()
    write = edge_store.write_json

    def slow(path: Path, content: Any) -> None:
        at_work.set()
        assert go_on.wait(60)
        write(path, content)

    monkeypatch.setattr(edge_store, "write_json", slow)
    thread = threading.Thread(target=lambda: create_store(tmp_path, "products", {"image": 8}, {"crl": 1}).close())
    thread.start()
    assert at_work.wait(60)
    drafts = list(tmp_path.glob(".products-????????"))
    with pytest.raises(LookupError):
        CRLCollection.open("products", location=tmp_path)  # sweeps, and leaves what is being filled
    assert list(tmp_path.glob(".products-????????")) == drafts
    assert len(drafts) == 1
    go_on.set()
    thread.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".products-of-my-own", "products", "products-0123abcd"]


def test_metadata_files_are_written_by_several_threads(tmp_path: Path) -> None:
    store = create_store(tmp_path, "products", {"image": 8}, {"crl": 1})
    threads = [threading.Thread(target=store.update_metadata, args=({f"key{n}": n},)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_json(tmp_path / "products" / "metadata.json") == {"crl": 1, **{f"key{n}": n for n in range(24)}}
    (tmp_path / "products" / ".metadata.json-0123abcd").write_text("{")  # of a killed writer
    store.close()
    open_store(tmp_path, "products").close()
    assert sorted(path.name for path in (tmp_path / "products").iterdir()) == ["lock", "metadata.json", "shard"]


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert (read_json(path), list(tmp_path.iterdir())) == ({"a": 1}, [path])


def test_the_log_of_a_long_lived_writer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_store, "_LOG_BYTES", 8 << 20)
    with CRLCollection.create("products", location=tmp_path, dimension=1024) as products:
        rows = np.random.default_rng(0).normal(size=(1000, 1024))
        for _ in range(40):  # 160 MB
            products.add(range(1000), embeddings=rows, batch_size=1000)
        log = (tmp_path / "products" / "shard" / "wal").iterdir()
        assert sum(path.stat().st_size for path in log) <= 4 * 33 * 2**20
