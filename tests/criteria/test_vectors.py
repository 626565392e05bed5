"""Named vectors filled while other processes write: none is stale, and no acknowledged point is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fakes import conditional_cosines, unit
from qdrant_client import models, QdrantClient

from crl_qdrant import Criterion, CriterionError, CriterionState, CRLCollection, StoreError
from crl_qdrant.criteria import vectors
from crl_qdrant.stores import create_store, open_store

RNG = np.random.default_rng(9)
ROWS = unit(RNG.normal(size=(100, 6)))
TEXTS = unit(RNG.normal(size=(5, 6)))
STYLE = Criterion("style", list("abcde"), embeddings=TEXTS, preset="paper")


@pytest.fixture
def client() -> QdrantClient:
    return QdrantClient(":memory:")


@pytest.fixture
def products(client: QdrantClient) -> CRLCollection:
    made = CRLCollection.create("products", location=client, dimension=6)
    made.add(range(90), embeddings=ROWS[:90])
    made.define(STYLE)
    return made


def before_write(products: CRLCollection, number: int, action: Callable[[], Any]) -> None:
    """Another process does something between a page's reading and its writing."""
    write, calls = products._store.update_vectors, list[int]()

    def overtaken(ids: Any, rows: Any) -> None:
        calls.append(1)
        if len(calls) == number:
            action()
        write(ids, rows)

    products._store.update_vectors = overtaken  # type: ignore[method-assign]


def stored(products: CRLCollection) -> dict[Any, Any]:
    ids, rows = products.representations("style")
    assert products.info().criteria[0].state is CriterionState.MATERIALIZED
    return dict(zip(ids, rows, strict=True))


def test_an_image_that_is_replaced_meanwhile_gets_its_own_vector(products: CRLCollection, client: QdrantClient) -> None:
    new = ROWS[95:96].astype(np.float32)
    other = open_store(client, "products")  # it does not know of the criterion yet
    before_write(products, 2, lambda: other.upsert([35], {"image": new}, [{}]))
    assert products.materialize("style", batch_size=30) == 90
    rows = stored(products)
    assert len(rows) == 90
    cosines = conditional_cosines(ROWS[[95, 36, 7]], TEXTS)
    assert rows[35] @ rows[36] == pytest.approx(cosines[0, 1], abs=1e-5)
    assert rows[35] @ rows[7] == pytest.approx(cosines[0, 2], abs=1e-5)


def test_points_that_are_deleted_meanwhile_are_left_out(products: CRLCollection, client: QdrantClient) -> None:
    before_write(products, 2, lambda: open_store(client, "products").delete([35, 40]))
    assert products.materialize("style", batch_size=30) == 88
    assert stored(products).keys() == {*range(90)} - {35, 40}


def test_points_that_come_meanwhile_without_the_vector_get_it(products: CRLCollection, client: QdrantClient) -> None:
    new, other = ROWS[95:96].astype(np.float32), open_store(client, "products")
    before_write(products, 3, lambda: other.upsert([5], {"image": new}, [{}]))  # on a page that was done
    assert products.materialize("style", batch_size=30) == 91
    assert len(stored(products)) == 90


def test_a_store_that_fails_is_still_an_error(products: CRLCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(ids: Any, rows: Any) -> None:
        raise StoreError("no")

    monkeypatch.setattr(products._store, "update_vectors", failing)
    with pytest.raises(StoreError, match="no"):
        products.materialize("style")


@pytest.mark.parametrize("change", ["drop", "define"])
def test_a_criterion_that_another_process_changes_while_it_is_built(
    products: CRLCollection, client: QdrantClient, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    other = CRLCollection.open("products", location=client)
    fill = vectors.fill_vectors

    def overtaken(*arguments: Any, **options: Any) -> int:
        written = fill(*arguments, **options)
        if change == "drop":
            other.drop_criterion("style")
        else:
            other.define(STYLE.with_options(rank=3))
        return written

    with monkeypatch.context() as patched:
        patched.setattr("crl_qdrant.criteria.registry.fill_vectors", overtaken)
        with pytest.raises(CriterionError, match="'style' was dropped or changed by another process while it was"):
            products.materialize("style")
    for each in (products, other, CRLCollection.open("products", location=client)):
        assert list(each.criteria) == (["style"] if change == "define" else []), each
    assert set(products._store.vector_sizes()) == {"image"}
    if change == "define":
        assert products.materialize("style") == 90
        assert products.search(embedding=ROWS[3], criterion="style", strategy="named", limit=1)[0].id == 3


def test_two_processes_materialize_the_same_criterion(products: CRLCollection, client: QdrantClient) -> None:
    other = CRLCollection.open("products", location=client)
    before_write(products, 2, lambda: other.materialize("style", batch_size=20))
    products.materialize("style", batch_size=30)
    for each in (products, other):
        assert len(stored(each)) == 90
        assert each.search(embedding=ROWS[3], criterion="style", strategy="named", limit=1)[0].id == 3


def test_a_server_that_repeats_its_log_keeps_the_points_of_a_dropped_criterion(client: QdrantClient) -> None:
    """As a server does: an operation that names a vector which is gone is left out as a whole."""
    log: list[Callable[[QdrantClient], Any]] = []
    upsert, update = client.upsert, client.update_vectors

    def logged_upsert(name: str, points: models.Batch, **options: Any) -> Any:
        log.append(lambda target: target.upsert(name, points))
        return upsert(name, points, **options)

    def logged_update(name: str, points: Any, **options: Any) -> Any:
        log.append(lambda target: target.update_vectors(name, points))
        return update(name, points, **options)

    client.upsert, client.update_vectors = logged_upsert, logged_update  # type: ignore[method-assign, assignment]
    store: Any = create_store(client, "products", {"image": 6}, {})
    store._local = False
    store.create_vector("crl_style", 5)
    rows = {"image": ROWS.astype(np.float32), "crl_style": ROWS[:, :5].astype(np.float32)}
    store.upsert(range(100), rows, [{"n": number} for number in range(100)])
    assert store.count(models.Filter(must=models.HasVectorCondition(has_vector="crl_style"))) == 100
    store.drop_vector("crl_style")
    again = QdrantClient(":memory:")
    create_store(again, "products", {"image": 6}, {})
    for operation in log:
        try:
            operation(again)
        except ValueError as error:
            assert "crl_style" in str(error)
    assert again.count("products").count == 100
