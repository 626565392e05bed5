"""A key has one id, no two keys share one, and what was stored under an older id is still known."""

from __future__ import annotations

import os
import unicodedata
import uuid

import pytest

from crl_qdrant import id_of_key, InputError
from crl_qdrant.common.keys import former_ids_of_key, has_key

UUID = "550e8400-e29b-41d4-a716-446655440000"
HEX = "0034567890abcdef0034567890abcdef"


def uuid_of(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def test_ids_that_stay_as_they_were() -> None:
    assert [id_of_key(each) for each in ("42", "0", str(2**64 - 1), UUID)] == [42, 0, 2**64 - 1, UUID]
    for key in ("SKU-7", "0042", str(2**64), "-1", "4.2", "٤٢", "Röcke", "", " 42", "shoes/a"):
        assert id_of_key(key) == uuid_of(key)
        assert [*former_ids_of_key(key)] == ([] if key.isascii() or key == "٤٢" else [uuid_of("Ro\u0308cke")])


@pytest.mark.parametrize(
    "twins",
    [
        (UUID, UUID.upper(), UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}", UUID.replace("-", "", 1)),
        (HEX, HEX.upper(), "0x" + HEX[2:], "0X" + HEX[2:], "+" + HEX[1:], " " + HEX[1:], "0_" + HEX[2:]),
        ("1_34567890abcdef0034567890abcdef0", "1" + "34567890abcdef0034567890abcdef00"[:31]),
    ],
)
def test_different_keys_have_different_ids(twins: tuple[str, ...]) -> None:
    assert len({id_of_key(each) for each in twins}) == len(twins)
    for key in twins:
        known = [id_of_key(key), *former_ids_of_key(key)]
        try:
            assert str(uuid.UUID(key)) in known  # its id in version 0.1.0
        except ValueError:
            assert known == [uuid_of(key)]


def test_one_name_in_two_unicode_forms_is_one_key() -> None:
    composed, apart = (unicodedata.normalize(form, "Röcke/é") for form in ("NFC", "NFD"))
    assert id_of_key(composed) == id_of_key(apart) == uuid_of(composed)
    assert former_ids_of_key(composed) == former_ids_of_key(apart) == [uuid_of(apart)]
    assert has_key({"n": 1, "key": apart}, composed)
    assert not has_key({"key": "other", "n": {"key": composed}}, composed)
    assert not has_key(None, composed)


def test_bytes_that_are_no_utf8_are_written_out() -> None:
    assert id_of_key(os.fsdecode(b"caf\xe9")) == id_of_key(r"caf\xe9")
    for wrong in ("\ud800", 42, None, b"a"):
        with pytest.raises(InputError, match="a key must be"):
            id_of_key(wrong)  # type: ignore[arg-type]
