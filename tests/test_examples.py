"""Every program under examples/ is run, in an empty folder."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TRAINING = "train_demo_encoder.py"  # takes 15 minutes, and its result ships with the package
# what each program says when it has done what it is for
SAID = {
    "asyncio_backend.py": "2 [{'id':",
    "own_embeddings.py": "1000 products, alike in heel to product 7:",
    "rerank_keyword_search.py": "products match; in the order of their colour",
    "server.py": "product",
    "shop_search.py": "because of:",
}


def test_every_example_is_listed() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SAID, TRAINING}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.server] if name == "server.py" else []) for name in SAID]
)
def test_an_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRL_DEVICE", "cpu")
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert SAID[name] in capsys.readouterr().out
