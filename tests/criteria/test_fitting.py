"""A criterion fitted to the collection's images: when, to which of them, and what is said before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakes import unit

from crl_qdrant import Criterion, CRLCollection
from crl_qdrant.criteria.sample import sample_images

RNG = np.random.default_rng(5)
ROWS = unit(RNG.normal(size=(300, 48)) + 0.3).astype(np.float32)
WORDS = [f"word {number}" for number in range(80)]
CUT = Criterion("cut", WORDS, embeddings=unit(RNG.normal(size=(80, 48))))


@pytest.fixture
def products(location: Any) -> CRLCollection:
    return CRLCollection.create("products", location=location, dimension=48)


def projection(products: CRLCollection) -> Any:
    return products._criteria.latest("cut").projection


def test_it_waits_for_images_and_is_fitted_when_it_is_defined_again(products: CRLCollection) -> None:
    products.define(CUT)
    (before,) = products.info().criteria
    assert (before.rank, before.lift, before.rest, before.advice) == (64, None, 0, "")
    assert before.status == "defined, not fitted to images"
    products.add(range(255), embeddings=ROWS[:255])
    products.define(CUT)
    assert products.info().criteria[0].fingerprint == before.fingerprint  # too few to say anything
    products.add(range(255, 300), embeddings=ROWS[255:])
    (between,) = products.info().criteria
    assert between.fingerprint == before.fingerprint  # it stays what it was until it is defined again
    assert between.advice == "it was defined before there were images; define it again: crl-qdrant criteria add cut"

    products.define("cut")  # as the command does
    (after,) = products.info().criteria
    assert (after.rank, after.awaits_images, after.advice) == (64, False, "")
    assert after.lift == pytest.approx(1, abs=0.3)
    assert after.rest > 0
    assert after.fingerprint != before.fingerprint
    # the same again is no change, whatever images have come
    products.add(range(300, 400), embeddings=ROWS[:100])
    products.define("cut")
    assert products.info().criteria[0].fingerprint == after.fingerprint


def test_a_materialized_one_is_fitted_beside_the_one_in_use(products: CRLCollection) -> None:
    products.define(CUT)
    products.add(range(300), embeddings=ROWS)
    products.materialize("cut")
    products.define("cut")
    (info,) = products.info().criteria
    assert (info.awaits_images, info.pending, info.advice) == (True, True, "")
    products.materialize("cut")
    (info,) = products.info().criteria
    assert (info.awaits_images, info.pending, info.points) == (False, False, 300)
    hits = products.search(like=7, criterion="cut", limit=5)
    rows = projection(products).represent(ROWS)
    best = [at for at in np.argsort(-(rows @ rows[7]), kind="stable") if at != 7][:5]
    assert [hit.id for hit in hits] == best


def test_what_a_preset_fixes_waits_for_nothing(products: CRLCollection) -> None:
    products.define(Criterion("cut", WORDS, embeddings=CUT.embeddings, preset="paper"))
    products.add(range(300), embeddings=ROWS)
    (info,) = products.info().criteria
    assert (info.status, info.advice) == ("defined", "")


def test_the_sample_depends_on_the_ids_alone(products: CRLCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    order = RNG.permutation(300)
    products.add([int(at) for at in order], embeddings=ROWS[order])
    store, raw = products._store, products._criteria.manifest.raw
    every = sample_images(store, raw)
    every_id = (every @ ROWS.T).argmax(axis=1)
    assert np.array_equal(np.sort(every_id), range(300))
    monkeypatch.setattr("crl_qdrant.criteria.sample._MOST", 100)
    some = sample_images(store, raw)
    assert np.array_equal(some, every[:100])
    # not the first by id, which are often the oldest of a shop
    chosen = set(every_id[:100].tolist())
    assert 110 < np.mean([*chosen]) < 190
    products.delete([at for at in range(300) if at not in chosen])
    assert np.array_equal(sample_images(store, raw), some)
