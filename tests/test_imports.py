"""The package's shape: what it exports, which way imports point, and how little importing it loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import crl_qdrant

PACKAGE = Path(crl_qdrant.__file__).parent
ROOT = PACKAGE.parent

# Each layer may import from those above it in this list, and from its own.
LAYERS = [
    {"errors"},
    {"common"},
    {"vocabulary"},
    {"projection"},
    {"encoders", "stores"},
    {"criteria"},
    {"ingestion", "search"},
    {"analysis"},
    {"evaluation"},
    {"collection"},
    {"demo"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imported(path: Path) -> set[str]:
    """First parts below crl_qdrant that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            modules = [node.module or ""]
        names |= {module.split(".")[1] for module in modules if module.startswith("crl_qdrant.")}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    assert part in LEVEL, f"say in LAYERS where {part} belongs"
    for other in imported(path):
        assert LEVEL[other] <= LEVEL[part], f"{part} must not import {other}"


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    long = {str(path.relative_to(PACKAGE)) for path, length in lengths.items() if length > 400}
    assert not long


@pytest.mark.parametrize("package", ["crl_qdrant", "crl_qdrant_catalogs"])
def test_all_is_what_can_be_imported(package: str) -> None:
    module = __import__(package)
    names = list(getattr(module, "__all__", []))
    assert len(names) == len(set(names))
    assert names == [*sorted({*names} - {"__version__"}, key=str.casefold), *({"__version__"} & {*names})]
    assert all(getattr(module, name) is not None for name in names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = crl_qdrant.Nothing
    assert "CRLCollection" in dir(crl_qdrant)


def loaded_by(statement: str) -> dict[str, bool]:
    heavy = ["torch", "open_clip", "transformers", "anthropic", "polars", "rich", "qdrant_client"]
    code = f"{statement}\nimport json, sys\nprint(json.dumps({{name: name in sys.modules for name in {heavy}}}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(json.loads(answer))


def test_importing_is_light() -> None:
    assert not any(loaded_by("import crl_qdrant").values())
    assert {name for name, here in loaded_by("import crl_qdrant.cli.app").items() if here} <= {"rich"}
    for name in ("CRLCollection", "Criterion", "Item", "CRLError"):
        found = loaded_by(f"from crl_qdrant import {name}")
        assert not any(found[each] for each in ("torch", "open_clip", "transformers", "anthropic", "polars"))


def packages_loaded_by(statement: str) -> set[str]:
    """The packages outside the standard library that a statement loads in a fresh interpreter."""
    names = "{name.partition('.')[0] for name in sys.modules}"
    code = f"import json, sys\nbefore = {names}\n{statement}\nprint(json.dumps([*({names} - before)]))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {*json.loads(answer)} - sys.stdlib_module_names


def test_importing_loads_hardly_more_than_the_client() -> None:
    assert packages_loaded_by("import crl_qdrant") == {"crl_qdrant"}
    client = packages_loaded_by("import qdrant_client")
    ours = packages_loaded_by("from crl_qdrant import AsyncCRLCollection, CRLCollection, Criterion, Item, Query")
    assert ours - client == {"crl_qdrant", "PIL"}


def test_nothing_prints_but_the_command_line() -> None:
    for path in PACKAGE.rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        assert not any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls), path


def test_a_page_of_user_calls_is_typed(tmp_path: Path) -> None:
    page = tmp_path / "calls.py"
    page.write_text(
        """
import asyncio
from pathlib import Path

import numpy as np
from PIL import Image
from qdrant_client import QdrantClient, models

from crl_qdrant import AsyncCRLCollection, CRLCollection, Criterion, Encoder, Hit, Hits, Item, Report
from crl_qdrant.vocabulary import LanguageModel, WordSource


class Mine:
    name = "mine"
    dimension = 3

    def encode_images(self, images: object) -> np.ndarray:
        return np.ones((1, 3))

    def encode_texts(self, texts: object) -> np.ndarray:
        return np.ones((1, 3))


encoder: Encoder = Mine()
for location in ("./data", Path("data"), ":memory:", QdrantClient(":memory:")):
    products = CRLCollection.create("products", location=location, encoder=encoder)
report: Report = products.add([1, "x"], ["a.jpg", b"", Path("b"), Image.new("L", (1, 1))], payloads=[{"a": 1}, None])
products.add([1], embeddings=np.ones((1, 3)))
products.ingest(Item(n, image=f"{n}.jpg") for n in range(3))
products.define(Criterion("fabric", ["denim", "linen"], prompt="made of {}", embeddings=np.ones((2, 3))))
written: int = products.materialize("fabric")
hits: list[Hit] = products.search("q.jpg", criterion="fabric", limit=3, query_filter=models.Filter(must=[]))
hits = products.search(embedding=[1.0, 2.0, 3.0], with_payload=["colour"])
hits = products.search(like=7)
key: int | str = hits[0].id


async def similar(products: AsyncCRLCollection) -> Hits:
    return await asyncio.create_task(products.search(like=1))


def mine(name: str, *, n_words: int | None = None, domain: str | None = None) -> list[str]:
    return ["flat", "stiletto"]


sources: list[WordSource] = [LanguageModel(api_key="mine"), mine]
words: list[str] = sources[0]("heel", n_words=30, domain="women's shoes")
""",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(page)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
