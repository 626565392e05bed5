"""A manifest that is damaged, or whose vectors are gone: told, never a bare exception, and never a lost embedding."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import unit

from crl_qdrant import Criterion, CriterionState, CRLCollection, CRLError, ManifestError
from crl_qdrant.criteria.manifest import Manifest

RNG = np.random.default_rng(6)
ROWS = unit(RNG.normal(size=(30, 6)))
TEXTS = unit(RNG.normal(size=(4, 6)))
STYLE = Criterion("style", list("abcd"), embeddings=TEXTS, preset="default-0.1")
CUT = Criterion("cut", list("abcd"), embeddings=TEXTS[::-1], preset="paper")


@pytest.fixture
def products(location: Any) -> CRLCollection:
    made = CRLCollection.create("products", location=location, dimension=6)
    made.add(range(30), embeddings=ROWS, payloads=[{"group": number % 2} for number in range(30)])
    for criterion in (STYLE, CUT):
        made.define(criterion)
    made.materialize("style", "cut")
    return made


def reopened(products: CRLCollection, location: Any) -> CRLCollection:
    products.close()
    return CRLCollection.open("products", location=location)


def ranking(products: CRLCollection, criterion: str | None = "style") -> list[Any]:
    return [
        (hit.id, pytest.approx(hit.score, abs=2e-3))
        for hit in products.search(embedding=ROWS[3], criterion=criterion, limit=10)
    ]


def test_a_named_vector_that_another_program_dropped_costs_its_criterion_the_index_alone(
    products: CRLCollection, location: Any
) -> None:
    expected, other = ranking(products), ranking(products, "cut")
    products._store.drop_vector("crl_style")
    products = reopened(products, location)
    info = products.info().criteria[0]
    assert (info.state, info.status, info.points) == (CriterionState.MISSING, "vector missing", 0)
    assert products.search(embedding=ROWS[3], criterion="style").plan.strategy == "scan"
    assert (ranking(products), ranking(products, "cut")) == (expected, other)
    assert products.add([90], embeddings=ROWS[:1]).written == 1
    products.rename_criterion("style", "look")  # what is written in between does not hide it
    products = reopened(products, location)
    assert products.info().criteria[-1].state is CriterionState.MISSING
    assert products.materialize("look") == 31
    assert products.search(embedding=ROWS[3], criterion="look").plan.strategy == "named"
    assert products.info().criteria[-1].status == "materialized"


def test_a_missing_vector_can_be_redefined_and_dropped(products: CRLCollection, location: Any) -> None:
    for name in ("crl_style", "crl_cut"):
        products._store.drop_vector(name)
    products._store.create_vector("crl_style", 3)  # back, with another size
    products = reopened(products, location)
    assert [each.state for each in products.info().criteria] == [CriterionState.MISSING] * 2
    products.define(Criterion("style", list("abc"), embeddings=TEXTS[:3]))
    assert products.materialize("style") == 30
    products.drop_criterion("cut")
    assert set(products._store.vector_sizes()) == {"image", "crl_style~2"}
    assert products.search(embedding=ROWS[3], criterion="style", strategy="named", limit=1)[0].id == 3


def test_a_missing_vector_while_a_change_is_pending(products: CRLCollection, location: Any) -> None:
    products.define(Criterion("style", list("abc"), embeddings=TEXTS[:3]))
    products._store.drop_vector("crl_style")
    products = reopened(products, location)
    assert products.info().criteria[0].state is CriterionState.MISSING
    assert products.materialize("style") == 30
    assert set(products._store.vector_sizes()) == {"image", "crl_style~2", "crl_cut"}


def test_points_that_lack_the_vector_are_told(products: CRLCollection) -> None:
    products._store.upsert([77], {"image": ROWS[:1].astype(np.float32)}, [{}])  # by another program
    assert products.info().criteria[0].status == "materialized, 1 points lack it"
    products.materialize("style")
    assert products.info().criteria[0].status == "materialized"


def test_without_the_embeddings_there_is_no_collection(products: CRLCollection, location: Any) -> None:
    products._store.drop_vector("image")
    products.close()
    with pytest.raises(ManifestError, match=r"should have a named vector 'image' of 6 dimensions"):
        CRLCollection.open("products", location=location)


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**30,
    1.5,
    float("nan"),
    "",
    "image",
    "crl_x",
    "Zg==",
    [],
    ["image"],
    {},
    [[[]]],
)


def damaged(value: Any) -> Iterator[Any]:
    """Copies of a JSON value with one thing in it replaced or left out."""
    children: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        for other in [*ODD, *damaged(child)]:
            changed = copy.copy(value)
            changed[key] = other
            yield changed
        changed = copy.copy(value)
        del changed[key]
        yield changed


@pytest.fixture(scope="module")
def stored() -> tuple[dict[str, Any], dict[str, int]]:
    """A manifest with everything in it: a trained head, a change that is pending, a migration that is under way."""
    from qdrant_client import QdrantClient

    from crl_qdrant.criteria.manifest import Lineage, RawVector

    products = CRLCollection.create("products", location=QdrantClient(":memory:"), dimension=6)
    products.add(range(30), embeddings=ROWS, payloads=[{"group": f"g{number % 2}"} for number in range(30)])
    products.define(STYLE.with_options("default"))
    products.train_head("style", "group", out=2, hidden=2, epochs=1, validation=0.5)
    products.materialize("style")
    products.define(CUT)
    products.materialize("cut")
    products.define(Criterion("cut", list("abc"), embeddings=TEXTS[:3], preset="paper"))
    manifest = products._criteria.manifest
    entries = products._store.metadata()
    head = Manifest(manifest.raw, {}, RawVector("next", 6, "image~2"), {}, RawVector("x", 4, "image~3"), ("crl_o",))
    entries |= head.to_entry()
    entries |= Lineage(manifest.lineages["style"].current.in_state(CriterionState.DEFINED)).to_entry(following=True)
    entries["crl.next.style"]["current"]["vector"] = "crl_style~2"
    entries["crl.next.style"]["retired"] = ["crl_p"]
    return json.loads(json.dumps(entries)), {"image": 6} | {
        each.vector: each.rank for lineage in manifest.lineages.values() for each in lineage.versions
    }


def test_damage_anywhere_is_a_manifest_error(stored: tuple[dict[str, Any], dict[str, int]]) -> None:
    entries, sizes = stored
    assert Manifest.read(entries, sizes, collection="c").is_whole
    raw, tried, refused = {"image", "image~2", "image~3"}, 0, 0
    for changed in damaged(entries):
        tried += 1
        try:
            manifest = Manifest.read(changed, sizes, collection="c")
        except ManifestError:
            refused += 1
            continue
        # what is still a manifest can be written again, and names no embeddings among what is dropped
        lineages = [*manifest.lineages.values(), *manifest.following_lineages.values()]
        assert not raw & manifest.vectors_in_use()
        for lineage in lineages:
            lineage.to_entry()
            for version in lineage.versions:
                rows = version.projection.represent(np.eye(6, dtype=np.float32)[:2])
                assert rows.shape == (2, version.rank) and np.isfinite(rows).all()
    assert tried > 1500
    assert refused > tried * 0.6


@pytest.mark.parametrize("name", ["image", "", None, 7, "crl_cut"])
def test_no_damage_makes_a_drop_delete_embeddings(tmp_path: Path, name: Any) -> None:
    with CRLCollection.create("products", location=tmp_path, dimension=6) as products:
        products.add(range(30), embeddings=ROWS)
        products.define(STYLE)
        products.define(CUT)
        products.materialize("style", "cut")
    path = tmp_path / "products" / "metadata.json"
    entries = json.loads(path.read_text())
    entries["crl.criterion.style"]["current"]["vector"] = name
    path.write_text(json.dumps(entries))
    with pytest.raises(ManifestError, match="the manifest of collection 'products' is damaged"):
        CRLCollection.open("products", location=tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "{}", '{"crl": 3}', "[" * 100_000, "\x00", '{"crl": NaN}'])
def test_a_damaged_metadata_file_is_told(tmp_path: Path, text: str) -> None:
    CRLCollection.create("products", location=tmp_path, dimension=6).close()
    (tmp_path / "products" / "metadata.json").write_text(text)
    with pytest.raises(CRLError, match="products"):
        CRLCollection.open("products", location=tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"vectors": 3}', '{"vectors": {"image": 3}}'])
def test_a_damaged_configuration_is_told(tmp_path: Path, text: str) -> None:
    CRLCollection.create("products", location=tmp_path, dimension=6).close()
    (tmp_path / "products" / "shard" / "edge_config.json").write_text(text)
    with pytest.raises(CRLError, match="products"):
        CRLCollection.open("products", location=tmp_path)
