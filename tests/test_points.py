from __future__ import annotations

import datetime
import uuid

import numpy as np
import pytest

from crl_qdrant import InputError
from crl_qdrant.points import checked_payload, point_id

UUID = "550e8400-e29b-41d4-a716-446655440000"


def test_ids_have_one_form() -> None:
    assert [point_id(v) for v in (0, np.int64(7), 2**64 - 1)] == [0, 7, 2**64 - 1]
    assert {point_id(v) for v in (UUID, UUID.upper(), UUID.replace("-", ""), uuid.UUID(UUID))} == {UUID}


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, True, "sku-7", "", None])
def test_what_is_no_id(value: object) -> None:
    with pytest.raises(InputError, match="uuid5"):
        point_id(value)


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
