"""The walk of a query: few modules for a plain search by an index, and no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from fakes import unit
from qdrant_client import QdrantClient

import crl_qdrant
from crl_qdrant import Criterion, CRLCollection

PACKAGE = Path(crl_qdrant.__file__).parent
ROWS = unit(np.random.default_rng(2).normal(size=(60, 8)))
TEXTS = unit(np.random.default_rng(3).normal(size=(5, 8)))


def modules_entered(call: Callable[[], object]) -> set[str]:
    """The modules of crl_qdrant of which a function runs during a call."""
    entered: set[str] = set()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            path = Path(frame.f_code.co_filename)
            if PACKAGE in path.parents:
                entered.add(str(path.relative_to(PACKAGE)))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
    return entered


@pytest.mark.parametrize("store", ["edge", "client"])
def test_a_plain_indexed_search_enters_at_most_eight_modules(store: str, tmp_path: Path) -> None:
    client = QdrantClient(":memory:")
    products = CRLCollection.create("walk", location=tmp_path if store == "edge" else client, dimension=8)
    products.add(range(60), embeddings=ROWS)
    products.define(Criterion("style", list("stuvw"), embeddings=TEXTS))
    products.materialize("style")
    query = ROWS[3] + 0.05  # no equal scores

    def search() -> None:
        assert len(products.search(embedding=query, criterion="style")) == 10

    search()
    entered = modules_entered(search)
    assert "collection/searching.py" in entered
    assert len(entered) <= 8, sorted(entered)
    products.close()
    client.close()


SEARCHES = """
import sys
if {hidden!r}:
    sys.modules["torch"] = None  # an import of it fails, as where it is not installed
    import importlib.util
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name == "torch" else found(name, *rest)
from crl_qdrant import CRLCollection

with CRLCollection.open("light", location={location!r}) as products:
    if not {hidden!r}:
        hits = products.search(like=3, criterion="style", explain=True, diversity=0.2)
        mixed = products.search(like=3, criterion={{"style": 1.0, None: 0.5}}, expand=7, min_closeness=0.01)
        assert hits.plan.strategy == mixed.plan.strategy == "named"
        print("torch" in sys.modules)
    else:
        for criterion in ("style", "cut", None, {{"style": 1.0, "cut": -0.5}}):
            for strategy in ("scan", "rerank"):
                hits = products.search(like=3, criterion=criterion, strategy=strategy, oversample=30)
                print([hit.id for hit in hits])
"""


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """A directory with a collection of two criteria, of which one has a named vector."""
    rng = np.random.default_rng(0)
    with CRLCollection.create("light", location=tmp_path, dimension=8) as products:
        products.add(range(300), embeddings=rng.normal(size=(300, 8)))
        for name in ("style", "cut"):
            products.define(Criterion(name, list("stuvw"), embeddings=rng.normal(size=(5, 8))))
        products.materialize("style")
    return tmp_path


def run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_named_search_imports_no_torch(light: Path) -> None:
    pytest.importorskip("torch")
    assert run(SEARCHES.format(hidden=False, location=str(light))) == ["False"]


def test_the_scan_works_without_torch(light: Path) -> None:
    lines = run(SEARCHES.format(hidden=True, location=str(light)))
    assert len(lines) == 8
    assert lines[0::2][:3] == lines[1::2][:3]  # the scan's answer is that of candidates scored by NumPy alone
    assert all(line.count(",") == 9 for line in lines)
