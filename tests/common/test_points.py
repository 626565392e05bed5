from __future__ import annotations

import datetime
import uuid

import numpy as np
import pytest

from crl_qdrant import InputError
from crl_qdrant.common.points import at_path, checked_payload, point_id, qdrant_path

UUID = "550e8400-e29b-41d4-a716-446655440000"


def test_ids_have_one_form() -> None:
    assert [point_id(v) for v in (0, np.int64(7), 2**64 - 1)] == [0, 7, 2**64 - 1]
    assert {point_id(v) for v in (UUID, UUID.upper(), UUID.replace("-", ""), uuid.UUID(UUID))} == {UUID}


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, True, "sku-7", "", None])
def test_what_is_no_id(value: object) -> None:
    with pytest.raises(InputError, match="id_of_key"):
        point_id(value)


@pytest.mark.parametrize(
    ("field", "as_qdrant_has_it"),
    [
        ("brand", "brand"),
        ("crl.colour_score", "crl.colour_score"),
        ("größe", "größe"),
        ("in stock", '"in stock"'),
        ("a.Preis (€)", 'a."Preis (€)"'),
        ('a."b.c"', 'a."b.c"'),
        ('"brand"', "brand"),
        ("tags[].name", "tags[].name"),
    ],
)
def test_fields_in_qdrants_form(field: str, as_qdrant_has_it: str) -> None:
    assert qdrant_path(field) == as_qdrant_has_it
    assert qdrant_path(as_qdrant_has_it) == as_qdrant_has_it
    if "[" not in field:
        payload = {"a": {"Preis (€)": 1, "b.c": 1}, "in stock": 1, "größe": 1, "brand": 1, "crl": {"colour_score": 1}}
        assert at_path(payload, field) == at_path(payload, as_qdrant_has_it) == 1


def test_payloads_become_json() -> None:
    assert checked_payload(None) == {}
    assert checked_payload({"when": datetime.date(2026, 1, 2), "key": uuid.UUID(UUID), 3: (1, 2)}) == {
        "when": "2026-01-02",
        "key": UUID,
        "3": [1, 2],
    }
    numbers = {"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True), "d": np.arange(2), "e": float("nan")}
    assert checked_payload({**numbers, "f": np.float64("inf")}) == {
        "a": 3,
        "b": 0.5,
        "c": True,
        "d": [0, 1],
        "e": None,
        "f": None,
    }


@pytest.mark.parametrize("payload", [[1], {"a": object()}, {"a": "\ud800"}, "text"])
def test_what_is_no_payload(payload: object) -> None:
    with pytest.raises(InputError, match="payload"):
        checked_payload(payload)  # type: ignore[arg-type]
