"""What a user does with a collection, on every store."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from failing_store import store_of
from fakes import ColourEncoder, conditional_cosines, picture, unit
from qdrant_client import models, QdrantClient

from crl_qdrant import Criterion, CriterionState, CRLCollection, Hit, InputError, Item

COLOUR = Criterion("colour", ["red", "green", "blue"], prompt="a {} thing")
RNG = np.random.default_rng(3)


def embedded(location: Any, number: int = 200, dimension: int = 16) -> tuple[CRLCollection, np.ndarray, np.ndarray]:
    """A collection of embeddings with a shared mean, those embeddings, and a criterion's texts; both unit length."""
    products = CRLCollection.create("products", location=location, dimension=dimension)
    rows = unit(RNG.normal(size=(number, dimension)) + 1.0).astype(np.float32)
    texts = unit(RNG.normal(size=(6, dimension)) + 1.0)
    payloads = [{"even": index % 2 == 0, "number": index} for index in range(number)]
    report = products.add(ids=range(number), embeddings=rows, payloads=payloads)
    assert (report.written, report.rejected) == (number, [])
    products.define(Criterion("style", list("abcdef"), embeddings=texts, preset="paper"))
    return products, rows, texts


def ids_of(hits: list[Hit]) -> list[int | str]:
    return [hit.id for hit in hits]


def test_the_snippet_of_the_issue(location: Any, encoder: ColourEncoder, tmp_path: Path) -> None:
    products = CRLCollection.create("products", location=location, encoder=encoder)
    picture((255, 230, 0)).save(tmp_path / "query.png")
    names = ["red", "green", "blue", "yellow", "white", "orange"]
    products.add(ids=range(6), images=[picture(name) for name in names], payloads=[{"colour": name} for name in names])
    products.define(COLOUR)
    exactly = products.search(tmp_path / "query.png", criterion="colour", limit=3)
    assert products.materialize("colour") == 6
    wanted = models.Filter(must_not=[models.FieldCondition(key="colour", match=models.MatchValue(value="yellow"))])
    hits = products.search(tmp_path / "query.png", criterion="colour", limit=10, query_filter=wanted)
    assert len(hits) == 5
    assert exactly[0].id == 3
    assert exactly[0].score > exactly[1].score
    assert ids_of(exactly[1:]) == ids_of(hits[:2])
    assert hits[0].payload == {"colour": names[int(hits[0].id)]}
    products.close()

    again = CRLCollection.open("products", location=location, encoder=encoder)
    assert list(again.criteria) == ["colour"]
    assert again.criterion("colour").words == ("red", "green", "blue")
    assert again.info().criteria[0].state is CriterionState.MATERIALIZED
    assert ids_of(again.search(tmp_path / "query.png", criterion="colour", limit=10, query_filter=wanted)) == ids_of(
        hits
    )
    again.close()


def test_scan_and_named_vector_give_the_exact_answer(location: Any) -> None:
    products, rows, texts = embedded(location)
    expected = conditional_cosines(rows, texts)
    for _ in ("scan", "named"):
        for query in (0, 17, 199):
            hits = products.search(embedding=rows[query] * 7, criterion="style", limit=10)
            # each hit has the score of its rank, to what half precision can tell
            assert [hit.score for hit in hits] == pytest.approx(np.sort(expected[query])[::-1][:10], abs=3e-4)
            assert [hit.score for hit in hits] == pytest.approx([expected[query][hit.id] for hit in hits], abs=3e-4)
        products.materialize("style")
    assert [hit.score for hit in hits] == pytest.approx(np.sort(expected[199])[::-1][:10], abs=3e-4)


def test_without_a_criterion_it_is_plain_nearest_neighbours(location: Any) -> None:
    products, rows, _ = embedded(location)
    hits = products.search(embedding=rows[5], limit=5)
    expected = rows @ rows[5]
    assert ids_of(hits) == np.argsort(-expected)[:5].tolist()
    assert [hit.score for hit in hits] == pytest.approx(np.sort(expected)[::-1][:5], abs=1e-5)


@pytest.mark.parametrize("materialized", [False, True])
@pytest.mark.parametrize("criterion", [None, "style"])
def test_like_leaves_the_item_itself_out(location: Any, criterion: str | None, materialized: bool) -> None:
    products, rows, _ = embedded(location)
    if materialized:
        products.materialize("style")
    with_itself = products.search(embedding=rows[9], criterion=criterion, limit=6)
    assert with_itself[0].id == 9
    assert ids_of(products.search(like=9, criterion=criterion, limit=5)) == ids_of(with_itself[1:])


@pytest.mark.parametrize("materialized", [False, True])
@pytest.mark.parametrize("criterion", [None, "style"])
def test_filters_and_payload_selection(location: Any, criterion: str | None, materialized: bool) -> None:
    products, rows, _ = embedded(location)
    if materialized:
        products.materialize("style")
    wanted = models.Filter(
        must=[models.FieldCondition(key="even", match=models.MatchValue(value=True))],
        must_not=[models.FieldCondition(key="number", range=models.Range(lt=100))],
    )
    everything = products.search(embedding=rows[0], criterion=criterion, limit=200)
    hits = products.search(like=0, criterion=criterion, limit=200, query_filter=wanted, with_payload=["number"])
    allowed = [hit.id for hit in everything if hit.id in range(100, 200, 2)]
    assert ids_of(hits) == allowed
    assert hits[0].payload == {"number": hits[0].id}
    assert products.search(embedding=rows[0], criterion=criterion, with_payload=False)[0].payload is None
    nobody = models.Filter(must=[models.FieldCondition(key="number", range=models.Range(gt=999))])
    assert products.search(embedding=rows[0], criterion=criterion, query_filter=nobody) == []
    assert products.count(wanted) == 50


def test_text_is_embedded_by_the_text_tower(location: Any, encoder: ColourEncoder) -> None:
    products = CRLCollection.create("products", location=location, encoder=encoder)
    products.add(ids=[1, 2], images=[picture("red"), picture("blue")])
    products.define(COLOUR)
    assert products.search(text="something blue")[0].id == 2
    assert products.search(text="something red", criterion="colour")[0].id == 1


def test_a_point_is_never_without_a_materialized_criterion(location: Any) -> None:
    products, rows, texts = embedded(location, number=50)
    products.materialize("style")
    more = unit(RNG.normal(size=(30, 16)) + 1.0).astype(np.float32)
    products.add(ids=range(40, 70), embeddings=more)  # ten are replaced, twenty are new
    everything = np.concatenate([rows[:40], more])
    assert products.info().criteria[0].points == products.count() == 70
    ids, representations = products.representations("style")
    expected = conditional_cosines(everything, texts)
    order = np.argsort(ids)
    found = representations[order] @ representations[order].T
    assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("criterion", [None, "style"])
def test_representations_are_the_same_before_and_after_materializing(location: Any, criterion: str | None) -> None:
    products, rows, texts = embedded(location, number=60)
    before_ids, before = products.representations(criterion)
    products.materialize("style")
    after_ids, after = products.representations(criterion)
    assert before_ids == after_ids == list(range(60))
    assert np.allclose(before, after, atol=1e-6)
    expected = unit(rows) @ unit(rows).T if criterion is None else conditional_cosines(rows, texts)
    assert np.abs(after @ after.T - expected).max() <= 1e-5
    assert products.representations("style", query_filter=models.Filter(must=[models.HasIdCondition(has_id=[3])]))[
        0
    ] == [3]


def test_materializing_fills_what_others_wrote_and_nothing_else(location: Any) -> None:
    products, rows, _ = embedded(location, number=50)
    assert products.materialize("style") == 50
    assert products.materialize("style") == 0
    store = store_of(products)  # another program writes raw vectors to the same collection
    store.upsert([100, 101], {"image": rows[:2]}, [{}, {}])
    assert products.info().criteria[0].points == 50
    assert products.materialize("style") == 2
    hits = products.search(embedding=rows[0], criterion="style", limit=2)
    assert set(ids_of(hits)) == {0, 100}


def test_the_scan_keeps_step_with_what_is_written(location: Any) -> None:
    products, rows, _ = embedded(location, number=50)
    query = rows[0]
    assert products.search(embedding=query, criterion="style", limit=1)[0].id == 0
    products.delete([0, 12345])
    assert 0 not in ids_of(products.search(embedding=query, criterion="style", limit=50))
    products.add(ids=[7, 600], embeddings=[query, query])
    hits = products.search(embedding=query, criterion="style", limit=50)
    assert set(ids_of(hits[:2])) == {7, 600}
    assert len(hits) == products.count() == 50


def test_criteria_are_kept_apart(location: Any) -> None:
    products, rows, _ = embedded(location, number=80)
    other = unit(RNG.normal(size=(5, 16)))
    products.define(Criterion("cut", list("abcde"), embeddings=other, preset="paper"))
    for _ in ("scan", "named"):
        hits = products.search(embedding=rows[3], criterion="cut", limit=5)
        expected = conditional_cosines(rows, other)[3]
        assert [hit.score for hit in hits] == pytest.approx(np.sort(expected)[::-1][:5], abs=3e-4)
        products.materialize("style")
        products.materialize("cut")


def test_a_criterion_can_be_dropped_and_defined_anew(location: Any) -> None:
    products, rows, _ = embedded(location, number=30)
    products.materialize("style")
    products.drop_criterion("style")
    assert products.criteria == {}
    other = unit(RNG.normal(size=(4, 16)))
    products.define(Criterion("style", list("wxyz"), embeddings=other, preset="paper"))
    assert products.materialize("style") == 30
    hits = products.search(embedding=rows[3], criterion="style", limit=5)
    assert [hit.score for hit in hits] == pytest.approx(
        np.sort(conditional_cosines(rows, other)[3])[::-1][:5], abs=3e-4
    )


def test_defining_the_same_again_is_no_change(location: Any) -> None:
    products, _, texts = embedded(location, number=30)
    products.materialize("style")
    products.define(Criterion("style", list("abcdef"), embeddings=texts, preset="paper"))
    products.define(products.criterion("style"))
    assert products.info().criteria[0].state is CriterionState.MATERIALIZED


def test_options_of_a_criterion_reach_the_search(location: Any) -> None:
    products, rows, texts = embedded(location, number=80)
    products.define(Criterion("centred", list("abcdef"), embeddings=texts, preset="centred"))
    centred = texts - texts.mean(axis=0)
    representation = unit(rows @ centred.T)
    hits = products.search(embedding=rows[0], criterion="centred", limit=5)
    assert [hit.score for hit in hits] == pytest.approx(np.sort(representation @ representation[0])[::-1][:5], abs=1e-3)
    assert products.info().criteria[1].rank == 5


def test_uuids_and_numbers_live_together(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=3)
    key = "550e8400-e29b-41d4-a716-446655440000"
    products.add(ids=[key.upper(), 5], embeddings=np.eye(3)[:2])
    assert ids_of(products.search(embedding=[1, 0.1, 0])) == [key, 5]
    assert ids_of(products.search(like=key)) == [5]


def test_an_empty_collection_answers_with_nothing(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=4)
    products.define(Criterion("style", list("abc"), embeddings=np.eye(4)[:3]))
    query = np.arange(4)
    assert products.search(embedding=query) == products.search(embedding=query, criterion="style") == []
    assert products.materialize("style") == 0
    assert products.search(embedding=query, criterion="style") == []
    assert products.representations("style")[1].shape == (0, 5)
    assert products.add(ids=[], embeddings=np.empty((0, 4))).written == 0


def test_several_threads_write_and_search(location: Any) -> None:
    products, rows, _ = embedded(location, number=40)
    failures: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for step in range(5):
                first = start + step * 10
                products.add(ids=range(first, first + 10), embeddings=rows[:10])
                products.search(embedding=rows[0], criterion="style", limit=3)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must show it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(1000 * number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    products.materialize("style")
    for thread in threads:
        thread.join()
    assert failures == []
    assert products.count() == 240
    assert products.info().criteria[0].points == 240
    assert len(products.search(embedding=rows[0], criterion="style", limit=300)) == 240


def test_memory_is_a_location() -> None:
    with CRLCollection.create("products", location=":memory:", dimension=3) as products:
        products.add(ids=[1], embeddings=np.eye(3)[:1])
        assert products.count() == 1


def test_a_client_that_was_passed_in_stays_open() -> None:
    client = QdrantClient(":memory:")
    with CRLCollection.create("products", location=client, dimension=3):
        pass
    assert client.collection_exists("products")
    client.close()


def test_ingest_knows_what_it_has(location: Any, encoder: ColourEncoder) -> None:
    products = CRLCollection.create("products", location=location, encoder=encoder)
    items = [Item(number, image=picture((number, 0, 255)), payload={"n": number}) for number in range(10)]
    assert products.ingest(items).written == 10
    again = products.ingest(iter(items))
    assert (again.written, again.unchanged) == (0, 10)
    # another picture, or another payload, is another item; an id that stands twice is reported
    items[3] = Item(3, image=picture((200, 0, 0)), payload={"n": 3})
    items[4] = Item(4, image=picture((4, 0, 255)), payload={"n": 44})
    changed = products.ingest([*items, Item(5, image=picture("red"))])
    assert (changed.written, changed.unchanged) == (2, 8)
    assert [str(each.error) for each in changed.rejected] == [
        "id 5 stands more than once among the items; the first one counts"
    ]
    assert products.search(picture((200, 0, 0)), limit=1)[0].id == 3
    found = products.search(like=3, limit=10)
    assert {hit.payload["n"] for hit in found if hit.payload} == {0, 1, 2, 44, 5, 6, 7, 8, 9}


def test_two_contents_that_change_places_are_both_written(location: Any, encoder: ColourEncoder) -> None:
    products = CRLCollection.create("products", location=location, encoder=encoder)
    red, blue = picture("red"), picture("blue")
    products.ingest([Item(1, image=red), Item(2, image=blue)])
    assert products.ingest([Item(1, image=blue), Item(2, image=red)]).written == 2
    assert products.search(red, limit=1)[0].id == 2


def test_a_bad_batch_size_is_refused(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=3)
    with pytest.raises(InputError, match="batch_size"):
        products.add(ids=[1], embeddings=np.eye(3)[:1], batch_size=0)
