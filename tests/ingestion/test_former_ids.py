"""A key whose id is another than in version 0.1.0 still finds the point that was stored then."""

from __future__ import annotations

import unicodedata
import uuid
from typing import Any

import numpy as np
import pytest

from crl_qdrant import CRLCollection, id_of_key, InputError, Item

CAPITALS = "550E8400-E29B-41D4-A716-446655440000"
NAME = unicodedata.normalize("NFD", "Röcke")
OLD = {CAPITALS: CAPITALS.lower(), NAME: str(uuid.uuid5(uuid.NAMESPACE_URL, NAME))}


def item(key: str, point: Any = None) -> Item:
    return Item(point or id_of_key(key), embedding=[1.0, 2.0], payload={"sku": key}, key=key)


def test_what_was_stored_is_found_and_resumed(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=2)
    assert products.ingest([item(key, old) for key, old in OLD.items()]).written == 2  # as version 0.1.0 did
    report = products.ingest([item(key) for key in OLD])
    assert (report.written, report.unchanged, products.count()) == (0, 2, 2)
    composed = unicodedata.normalize("NFC", NAME)
    assert products.ids_of_keys([CAPITALS, composed, NAME, "42", "new"]) == [
        OLD[CAPITALS],
        OLD[NAME],
        OLD[NAME],
        42,
        id_of_key("new"),
    ]
    products.delete(products.ids_of_keys([CAPITALS, composed]))
    assert products.count() == 0


def test_a_point_of_another_key_is_not_taken_for_it(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=2)
    products.ingest([item(CAPITALS.lower())])
    assert products.ids_of_keys([CAPITALS]) == [id_of_key(CAPITALS)] != [CAPITALS.lower()]
    report = products.ingest([item(CAPITALS), item(CAPITALS.lower())])
    assert (report.written, report.unchanged, products.count()) == (1, 1, 2)


def test_keys_that_can_be_none_are_refused_one_by_one(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=2)
    odd = Item("\ud800", embedding=np.ones(2), key="\ud800")
    assert [each.key for each in products.ingest([odd, item("a")]).rejected] == ["\ud800"]
    with pytest.raises(InputError, match="`keys` must be a list"):
        products.ids_of_keys("42")
