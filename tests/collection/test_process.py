"""A collection in a forked process, or sent to another one: one clear error at the first call, and nothing is lost."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fakes import unit

from crl_qdrant import AsyncCRLCollection, Criterion, CRLCollection, StoreError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

RNG = np.random.default_rng(4)
ROWS = unit(RNG.normal(size=(300, 8)))
STYLE = Criterion("style", list("abcd"), embeddings=unit(RNG.normal(size=(4, 8))))
CALLS: dict[str, Callable[[CRLCollection], Any]] = {
    "search": lambda products: products.search(embedding=ROWS[0]),
    "search by criterion": lambda products: products.search(embedding=ROWS[0], criterion="style", strategy="scan"),
    "add": lambda products: products.add([1], embeddings=ROWS[:1]),
    "define": lambda products: products.define("cut", ["a", "b"]),
    "materialize": lambda products: products.materialize("style"),
    "delete": lambda products: products.delete([1]),
    "count": lambda products: products.count(),
    "info": lambda products: products.info(),
    "criteria": lambda products: products.criteria,
    "optimize": lambda products: products.optimize(),
    "refresh": lambda products: products.refresh(),
}


def in_fork(call: Callable[[], Any]) -> str:
    """The error of a call in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a call that hangs dies, and says nothing
        try:
            call()
            said = "no error"
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def products(location: Any) -> CRLCollection:
    made = CRLCollection.create("products", location=location, dimension=8)
    made.add(range(100), embeddings=ROWS[:100])
    made.define(STYLE)
    return made


@pytest.mark.parametrize("call", CALLS)
def test_a_forked_process_is_refused_at_its_first_call(products: CRLCollection, call: str) -> None:
    with products._write_lock, products._resident._lock:  # as another thread may have them at the fork
        said = in_fork(lambda: CALLS[call](products))
    assert said.startswith(f"StoreError: collection 'products' was opened in process {os.getpid()} and is used in ")
    assert "CRLCollection.open(name, location=…) after the fork" in said
    CALLS["search"](products)


def test_a_fork_that_ends_changes_no_file_of_its_parent(tmp_path: Any) -> None:
    program = (
        "import os, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from crl_qdrant import CRLCollection\n"
        "with CRLCollection.create('products', location='.', dimension=8) as products:\n"
        "    products.add(range(50), embeddings=np.eye(8)[[n % 8 for n in range(50)]])\n"
        "    files = [path for path in Path('products').rglob('*') if path.is_file()]\n"
        "    before = {path: path.read_bytes() for path in files}\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        sys.exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    print([str(path) for path in files if path.read_bytes() != before[path]])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_in_a_fork_it_can_be_closed_and_shown(products: CRLCollection) -> None:
    said = in_fork(lambda: (products.close(), repr(products))[1])
    assert said == "no error"
    assert products.count() == 100


def test_the_awaited_collection_is_refused_too(tmp_path: Any) -> None:
    async def run() -> str:
        async with await AsyncCRLCollection.create("products", location=tmp_path, dimension=8) as products:
            await products.add([1], embeddings=ROWS[:1])
            return in_fork(lambda: products.count().send(None))  # type: ignore[attr-defined]

    assert asyncio.run(run()).startswith("StoreError: collection 'products' was opened in process")


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_cannot_be_copied(products: CRLCollection, copied: Any) -> None:
    for each in (products, AsyncCRLCollection(products)):
        with pytest.raises(StoreError, match="'products' cannot be copied, pickled or passed to another process"):
            copied(each)
