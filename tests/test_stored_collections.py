"""Collections that earlier versions wrote, kept in tests/data: they open and answer as they did."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from crl_qdrant import CRLCollection, PRESETS

FOLDERS = sorted(path.parent for path in (Path(__file__).parent / "data").glob("*/expected.json"))


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def test_a_collection_of_an_earlier_version_answers_as_it_did(folder: Path, tmp_path: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    with tarfile.open(folder / "collection.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    with CRLCollection.open("products", location=tmp_path, device="cpu") as products:
        assert products.count() == expected["points"]
        for each in products.info().criteria:
            known = expected["criteria"][each.name]
            assert {name: getattr(each, name) for name in known if name != "words"} | {
                "words": list(each.words)
            } == known
        assert {each.name for each in products.info().criteria} == {*expected["criteria"]}
        advice = {each.name: each.advice for each in products.info().criteria if each.options == PRESETS["default-0.1"]}
        assert advice
        for name, text in advice.items():
            assert text.endswith(f"there is a better one: crl-qdrant criteria add {name} --preset default")
        defined = {each.name for each in products.info().criteria if each.state == "defined"}
        for name, hits in expected["hits"].items():
            criterion = None if name == "image" else name
            found = products.search(embedding=expected["query"], criterion=criterion, limit=len(hits))
            assert [hit.id for hit in found] == [point for point, _, _ in hits]
            # version 0.1 scanned in half precision, and its scores there were as exact as that
            close = 5e-4 if name in defined else 1e-5
            assert [hit.score for hit in found] == pytest.approx([score for _, score, _ in hits], abs=close)
            assert [hit.payload and hit.payload["group"] for hit in found] == [group for _, _, group in hits]
        # and it can be written on
        assert products.materialize("colour", "style") == expected["points"]
        assert products.info().criteria[1].state.value == "materialized"
