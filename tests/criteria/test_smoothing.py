"""A smoothed criterion: each stored vector averaged with its nearest, however and whenever it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from failing_store import failing_store, store_of
from fakes import ColourEncoder, image_of, MakeCollection, Newer, picture, unit

from crl_qdrant import Criterion, CriterionError, CRLCollection, Options, Query
from crl_qdrant.projection.smoothing import smooth_rows

RNG = np.random.default_rng(12)
ROWS = unit(RNG.normal(size=(80, 8)) + 0.2)
NEW = unit(RNG.normal(size=(2, 8)) + 0.2)
PLAIN = Criterion("style", list("abcde"), embeddings=unit(RNG.normal(size=(5, 8))))
K = 4
SMOOTHED = PLAIN.with_options(smooth=K)


@pytest.fixture
def products(make_collection: MakeCollection) -> CRLCollection:
    return make_collection(embeddings=ROWS, criteria=[SMOOTHED])


def unsmoothed(products: CRLCollection, rows: np.ndarray) -> np.ndarray:
    projection = products._criteria.find("style").projection
    return np.asarray(projection.represent(np.asarray(rows, dtype=np.float32)))


def stored(products: CRLCollection) -> dict[Any, np.ndarray]:
    ids, rows = products.representations("style")
    return dict(zip(ids, rows, strict=True))


def everything(products: CRLCollection) -> np.ndarray:
    """The vectors of all first rows, smoothed."""
    return smooth_rows(unsmoothed(products, ROWS), K)


def beside(row: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A row averaged with its nearest of the stored ones."""
    cosines = others @ row
    nearest = np.argsort(-cosines)[:K]
    return unit(row + np.maximum(cosines[nearest], 0.0) ** 3 @ others[nearest])


def test_materialize_averages_every_vector_and_searches_compare_with_them(products: CRLCollection) -> None:
    plain = unsmoothed(products, ROWS)
    assert products.materialize("style", batch_size=30) == 80
    expected = everything(products)
    assert np.abs(expected - plain).max() > 0.05
    assert np.stack([stored(products)[at] for at in range(80)]) == pytest.approx(expected, abs=1e-5)
    # the query is not smoothed
    hits = products.search(like=3, criterion="style", limit=5)
    scores = np.delete(expected @ plain[3], 3)
    assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1][:5], abs=1e-4)
    assert "smoothing" not in hits.plan.reason


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("carried_out", [False, True])
def test_an_interrupted_materialize_is_repeated(products: CRLCollection, at: int, carried_out: bool) -> None:
    with (
        failing_store("update_vectors", KeyboardInterrupt(), at=at, carried_out=carried_out),
        pytest.raises(KeyboardInterrupt),
    ):
        products.materialize("style", batch_size=30)
    products.materialize("style", batch_size=30)
    assert products.materialize("style") == 0
    assert np.stack([stored(products)[at] for at in range(80)]) == pytest.approx(everything(products), abs=1e-5)


def test_a_new_point_and_a_changed_image_are_averaged_with_the_stored_ones(products: CRLCollection) -> None:
    products.materialize("style")
    before = stored(products)
    products.add([500], embeddings=NEW[:1])
    products.add([7], embeddings=NEW[1:])
    new, changed = unsmoothed(products, NEW)
    rows = stored(products)
    assert rows[500] == pytest.approx(beside(new, np.stack(list(before.values()))), abs=1e-4)
    others = np.stack([row for point, row in {**before, 500: rows[500]}.items() if point != 7])
    assert rows[7] == pytest.approx(beside(changed, others), abs=1e-4)
    assert all(rows[at] == pytest.approx(before[at], abs=1e-6) for at in range(80) if at != 7)


def test_a_point_that_is_written_again_is_no_neighbour_of_its_own(products: CRLCollection) -> None:
    products.materialize("style")
    before = stored(products)
    products.add([8], embeddings=ROWS[8:9])
    others = np.stack([row for point, row in before.items() if point != 8])
    assert stored(products)[8] == pytest.approx(beside(unsmoothed(products, ROWS[8:9])[0], others), abs=1e-4)


def test_a_point_of_another_program_gets_its_vector_from_the_stored_ones(products: CRLCollection) -> None:
    products.materialize("style")
    before = np.stack(list(stored(products).values()))
    store_of(products).upsert([500], {"image": NEW[:1].astype(np.float32)}, [{}])
    assert products.materialize("style") == 1
    assert stored(products)[500] == pytest.approx(beside(unsmoothed(products, NEW[:1])[0], before), abs=1e-4)


def test_the_first_points_of_an_empty_collection_have_no_neighbours(make_collection: MakeCollection) -> None:
    products = make_collection(dimension=8, criteria=[SMOOTHED])
    products.materialize("style")
    products.add(range(2), embeddings=NEW)
    assert np.stack([stored(products)[at] for at in range(2)]) == pytest.approx(unsmoothed(products, NEW), abs=1e-5)


def test_the_scan_and_the_rerank_say_that_they_do_not_smooth(products: CRLCollection) -> None:
    said = "scan: style without smoothing; materialize applies it"
    hits = products.search(like=3, criterion="style", limit=5)
    plain = unsmoothed(products, ROWS)
    assert said in hits.plan.reason
    assert said in products.explain_plan(Query(like=3, criterion="style")).reason
    scores = np.delete(plain @ plain[3], 3)
    assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1][:5], abs=1e-4)
    reranked = products.rerank(None, [4, 5], embedding=ROWS[3], criterion="style")
    assert "rerank: style without smoothing" in reranked.plan.reason
    products.define(PLAIN)
    assert "smoothing" not in products.search(like=3, criterion="style").plan.reason


@pytest.mark.parametrize("criterion", ["style", {"style": 1.0, "other": 0.5}], ids=str)
def test_explanations_add_up_to_the_score(products: CRLCollection, criterion: Any) -> None:
    products.define(Criterion("other", list("vwxyz"), embeddings=unit(RNG.normal(size=(5, 8)))))
    products.materialize("style")
    products.materialize("other")
    for hit in products.search(like=3, criterion=criterion, explain=True, limit=8):
        explanation = hit.explanation["style"]
        total = explanation.common + sum(word.share for word in explanation.words) + explanation.rest
        assert total == pytest.approx(hit.scores["style"], abs=1e-5)


def test_smoothing_alone_is_a_change_that_is_built_beside_the_old_vector(products: CRLCollection) -> None:
    products.define(PLAIN)
    products.materialize("style")
    plain = unsmoothed(products, ROWS)
    products.define(SMOOTHED)
    assert products.info().criteria[0].pending
    assert np.stack([stored(products)[at] for at in range(80)]) == pytest.approx(plain, abs=1e-5)
    products.drop_head("style")  # it has none: the change stays
    assert products.info().criteria[0].pending
    assert products.materialize("style") == 80
    assert np.stack([stored(products)[at] for at in range(80)]) == pytest.approx(everything(products), abs=1e-5)


def test_it_is_off_by_default_and_for_criteria_of_earlier_versions() -> None:
    entry = replace(Options(), smooth=10).to_dict()
    assert Options.from_dict(entry).smooth == 10
    del entry["smooth"]
    assert Options.from_dict(entry) == Options()
    assert Options().smooth == 0


@pytest.mark.parametrize("value", [-1, 101, 2.5, True, "many"])
def test_a_number_out_of_range_is_refused(value: Any) -> None:
    with pytest.raises(CriterionError, match="`smooth` must be"):
        Options(smooth=value)


def test_after_a_migration_vectors_are_averaged_in_the_new_space(location: Any) -> None:
    products = CRLCollection.create("colours", location=location, encoder=ColourEncoder())
    colours = [tuple(int(value) for value in each) for each in RNG.integers(0, 256, size=(40, 3))]
    payloads = [{"rgb": list(colour)} for colour in colours]
    products.add(range(40), [picture(colour) for colour in colours], payloads=payloads)
    products.define("style", ["red", "green", "blue", "white", "black"], smooth=K)
    products.materialize("style")
    products.migrate(Newer(), image_of)
    ids, embeddings = products.representations()
    expected = smooth_rows(unsmoothed(products, embeddings), K)
    assert np.stack([stored(products)[point] for point in ids]) == pytest.approx(expected, abs=1e-5)
    products.close()
