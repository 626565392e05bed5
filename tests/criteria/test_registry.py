"""Criteria that change while they are in use: versions side by side, one change-over, nothing left behind."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from failing_store import failing_store, store_of
from fakes import by_words, ColourEncoder, MakeCollection, picture, unit

from crl_qdrant import (
    Criterion,
    CriterionError,
    CriterionState,
    CRLCollection,
    CRLError,
    ExistsError,
    Item,
    NotFoundError,
    Query,
)
from crl_qdrant.criteria.build import context

RNG = np.random.default_rng(8)
ROWS = unit(RNG.normal(size=(120, 10)) + 0.3)
OLD, NEW = (unit(RNG.normal(size=(5, 10)) + 0.3) for _ in range(2))
FABRIC = Criterion("fabric", list("abcde"), embeddings=OLD)
CHANGED = Criterion("fabric", list("vwxyz"), embeddings=NEW)


@pytest.fixture
def products(make_collection: MakeCollection) -> CRLCollection:
    return make_collection(embeddings=ROWS)


def scores(products: CRLCollection, name: str = "fabric", **options: Any) -> list[float]:
    return [hit.score for hit in products.search(embedding=ROWS[0], criterion=name, limit=8, **options)]


def expected(texts: np.ndarray, **options: Any) -> Any:
    rows = by_words(ROWS, texts, **options)
    return pytest.approx(np.sort(rows @ rows[0])[::-1][:8], abs=2e-3)


def vectors(products: CRLCollection) -> set[str]:
    return set(store_of(products).vector_sizes())


def test_a_changed_criterion_is_built_beside_the_old_one_and_then_takes_its_place(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.materialize("fabric")
    products.define(CHANGED)
    assert scores(products) == expected(OLD)
    info = products.info().criteria[0]
    assert (info.pending, info.words, info.vector) == (True, tuple("abcde"), "crl_fabric")
    assert products.materialize("fabric") == 120
    assert scores(products) == expected(NEW)
    info = products.info().criteria[0]
    assert (info.pending, info.words, info.vector, info.points) == (False, tuple("vwxyz"), "crl_fabric~2", 120)
    assert vectors(products) == {"image", "crl_fabric~2"}
    # new points carry the new one; and names do not come back
    products.add([500], embeddings=ROWS[:1])
    assert products.materialize("fabric") == 0
    products.define(FABRIC)
    products.materialize("fabric")
    assert vectors(products) == {"image", "crl_fabric~3"}


def test_points_that_come_while_a_version_is_built_have_both(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.materialize("fabric")
    products.define(CHANGED)
    with failing_store("update_vectors", KeyboardInterrupt(), at=3), pytest.raises(KeyboardInterrupt):
        products.materialize("fabric", batch_size=30)
    products.add([500], embeddings=ROWS[:1])
    assert scores(products) == pytest.approx([1.0, *expected(OLD).expected[:7]], abs=2e-3)
    assert products.materialize("fabric") == 60
    assert scores(products) == pytest.approx([1.0, *expected(NEW).expected[:7]], abs=2e-3)


def test_several_criteria_in_one_pass(products: CRLCollection) -> None:
    cut, style = (Criterion(name, list("vwxyz"), embeddings=NEW) for name in ("cut", "style"))
    for criterion in (FABRIC, cut, style):
        products.define(criterion)
    with pytest.raises(NotFoundError, match="no criterion 'colour'"):
        products.materialize("fabric", "colour")
    assert vectors(products) == {"image"}
    products.materialize("style")
    products.materialize("fabric")
    products.define(CHANGED)  # one that is complete, one that is to change over, one that is new
    with failing_store("update_vectors", KeyboardInterrupt(), at=3) as calls, pytest.raises(KeyboardInterrupt):
        products.materialize("style", "fabric", "cut", "cut", batch_size=30)
    assert [{*vectors} for _, vectors in calls] == [{"crl_fabric~2", "crl_cut"}] * 2
    assert scores(products) == expected(OLD)
    assert scores(products, "cut") == expected(NEW)
    assert products.materialize("cut") == 60
    assert products.materialize("style", "fabric", "cut") == 60
    assert all(scores(products, name) == expected(NEW) for name in ("style", "fabric", "cut"))
    assert vectors(products) == {"image", "crl_style", "crl_fabric~2", "crl_cut"}
    assert products.materialize("style", "fabric", "cut") == 0


def test_going_back_to_what_it_is_gives_the_change_up(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.materialize("fabric")
    products.define(CHANGED)
    products.define(FABRIC)
    assert not products.info().criteria[0].pending
    assert products.materialize("fabric") == 0
    assert vectors(products) == {"image", "crl_fabric"}


def test_options_alone_change_it_too_and_words_are_kept(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.materialize("fabric")
    products.define("fabric", preset="paper")
    products.materialize("fabric")
    assert scores(products) == expected(OLD, center=False, sharpen=0)
    products.define("fabric", center="text")
    products.materialize("fabric")
    assert scores(products) == expected(OLD, sharpen=0)
    assert products.define("fabric").words == tuple("abcde")


def test_a_name_can_change_at_once(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.define(Criterion("cut", list("vwxyz"), embeddings=NEW, suppress=["fabric"], suppress_rank=2))
    products.materialize("fabric")
    before = scores(products, "cut")
    products.rename_criterion("fabric", "cloth")
    assert scores(products, "cloth") == expected(OLD)
    assert products.materialize("cloth") == 0
    assert products.criterion("cut").options.suppress == ("cloth",)
    assert scores(products, "cut") == before
    with pytest.raises(NotFoundError):
        products.search(embedding=ROWS[0], criterion="fabric")
    with pytest.raises(ExistsError):
        products.rename_criterion("cloth", "cut")
    with pytest.raises(CriterionError, match="suppressed by name in cut"):
        products.drop_criterion("cloth")
    # another criterion of the old name has a vector of its own
    products.define(CHANGED)
    products.materialize("fabric")
    assert scores(products, "fabric") == expected(NEW)
    assert scores(products, "cloth") == expected(OLD)


def test_suppressing_all_others_follows_them(products: CRLCollection) -> None:
    products.define(Criterion("cut", list("vwxyz"), embeddings=NEW, suppress="others", suppress_rank=1))
    assert scores(products, "cut") == expected(NEW)
    products.define(FABRIC)
    others = {"fabric": products.criterion("fabric")}
    centred = OLD - OLD.mean(axis=0)
    away = np.linalg.svd(centred)[2][:1]
    purified = ROWS - ROWS @ away.T @ away
    basis = NEW - NEW.mean(axis=0)
    similar = unit(purified @ basis.T)
    temperature = np.sqrt(np.log(5) / np.log(123))
    sharp = unit(np.exp(similar / similar.std(axis=1, keepdims=True) / temperature))
    best = np.sort(0.5 * similar @ similar[0] + 0.5 * sharp @ sharp[0])[::-1][:8]
    assert scores(products, "cut") == pytest.approx(best, abs=2e-3)
    products.materialize("cut")
    assert scores(products, "cut") == pytest.approx(best, abs=1e-5)
    assert not products.info().criteria[0].outdated
    # a materialized one waits for the next materialize
    products.drop_criterion("fabric")
    assert products.info().criteria[0].outdated
    assert context(products.criterion("cut"), others) != ""
    assert scores(products, "cut") == pytest.approx(best, abs=1e-5)
    assert products.materialize("cut") == 120
    assert scores(products, "cut") == expected(NEW)


def test_criteria_that_suppress_one_follow_it_when_it_changes_over(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.materialize("fabric")
    products.define(Criterion("cut", list("vwxyz"), embeddings=NEW, suppress="others", suppress_rank=1))
    beside_the_old = products.info().criteria[1].fingerprint
    products.define(CHANGED)
    products.materialize("fabric")
    cut = products.info().criteria[1]
    assert (cut.outdated, cut.state, cut.fingerprint != beside_the_old) == (False, CriterionState.DEFINED, True)
    products.materialize("cut")
    products.define(FABRIC)
    products.materialize("cut", "fabric")
    cut = products.info().criteria[1]
    assert (cut.outdated, cut.pending, cut.fingerprint) == (False, False, beside_the_old)
    with pytest.raises(CriterionError, match=r"a criterion's name is letters.* got \['fit'\]"):
        products.rename_criterion("cut", ["fit"])  # type: ignore[arg-type]


def test_searches_go_on_and_never_mix_two_versions(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.materialize("fabric")
    right = [expected(OLD), expected(NEW)]
    stop, wrong = threading.Event(), list[Any]()

    def searching() -> None:
        while not stop.is_set():
            found = scores(products)
            if not any(found == each for each in right):
                wrong.append(found)

    threads = [threading.Thread(target=searching) for _ in range(3)]
    for thread in threads:
        thread.start()
    for criterion in (CHANGED, FABRIC, CHANGED):
        products.define(criterion)
        products.materialize("fabric", batch_size=20)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_was_materialized_before_a_drop_is_gone(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.materialize("fabric")
    products.define(CHANGED)
    products.drop_criterion("fabric")
    assert vectors(products) == {"image"}
    products.define(CHANGED)
    assert products.info().criteria[0].state is CriterionState.DEFINED
    assert scores(products) == expected(NEW)


def test_a_batch_whose_vector_goes_away_is_asked_again(
    products: CRLCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    products.define(FABRIC)
    products.materialize("fabric")
    products.define(CHANGED)
    query, calls = store_of(products).query_batch, list[int]()

    def overtaken(queries: Any) -> Any:
        calls.append(len(queries))
        if len(calls) == 1:
            products.materialize("fabric")  # drops the vector that the queries name
        return query(queries)

    monkeypatch.setattr(store_of(products), "query_batch", overtaken)
    found = products.search_batch([Query(embedding=ROWS[0], criterion="fabric", limit=8)] * 2)
    assert calls == [2, 2]
    assert all([hit.score for hit in hits] == expected(NEW) for hits in found)


def test_readers_never_set_a_writer_back(products: CRLCollection) -> None:
    """Readings of the manifest that began before a change are not taken for newer than it."""
    wrong: list[CRLError] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                products.info()
            except CRLError as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    try:
        for _ in range(12):
            products.define(FABRIC)
            products.materialize("fabric")
            products.drop_criterion("fabric")
    finally:
        done.set()
        for each in readers:
            each.join()
    assert wrong == []


def test_a_reading_from_before_a_change_is_not_kept(products: CRLCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    products.define(FABRIC)
    real, reading, go_on = store_of(products).metadata, threading.Event(), threading.Event()

    def held() -> dict[str, Any]:
        found = real()
        if threading.current_thread() is not threading.main_thread() and not reading.is_set():
            reading.set()
            go_on.wait(30)
        return found

    monkeypatch.setattr(store_of(products), "metadata", held)
    reader = threading.Thread(target=products.info)
    reader.start()
    reading.wait(30)
    products.materialize("fabric")
    go_on.set()
    reader.join()
    products.ingest([Item(id=900, embedding=ROWS[0])])
    assert products.info().criteria[0].points == 121
    assert 900 in [hit.id for hit in products.search(embedding=ROWS[0], criterion="fabric", limit=2)]


def test_a_dependent_that_can_no_longer_be_built_stops_no_one(products: CRLCollection) -> None:
    axes = np.eye(10)
    products.define(Criterion("lean", list("abc"), embeddings=axes[:3], preset="suppressed"))
    within = Criterion("wide", list("vwxyz"), embeddings=NEW * ([1] * 3 + [0] * 7))
    products.define(within)  # nothing of "lean" is left without it
    products.define(FABRIC)
    assert {each.name: each.outdated for each in products.info().criteria} == {
        "lean": True,
        "wide": False,
        "fabric": False,
    }
    products.drop_criterion("wide")
    assert set(products.criteria) == {"lean", "fabric"}


def test_new_options_are_for_the_words_that_were_given_last(location: Any) -> None:
    products = CRLCollection.create("coloured", location=location, encoder=ColourEncoder())
    products.add([1], [picture("red")])
    products.define("tone", ["red", "green", "blue"])
    products.materialize("tone")
    products.define("tone", ["white", "black", "red", "yellow"])
    kept = products.define("tone", preset="paper")
    assert kept.words == ("white", "black", "red", "yellow")
    assert products.criterion("tone").words == ("red", "green", "blue")


def test_what_is_built_next_follows_what_it_suppresses(products: CRLCollection) -> None:
    products.define(FABRIC)
    products.define(Criterion("cut", list("vwxyz"), embeddings=NEW, suppress=["fabric"], suppress_rank=1))
    products.materialize("cut")
    products.define(Criterion("cut", list("vwxyz"), embeddings=NEW, suppress=["fabric"], suppress_rank=2))
    products.define(Criterion("fabric", list("abcd"), embeddings=OLD[:4]))
    products.materialize("cut")
    info = next(each for each in products.info().criteria if each.name == "cut")
    assert (info.outdated, info.pending) == (False, False)
    assert products.materialize("cut") == 0
