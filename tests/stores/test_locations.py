"""What a location and a collection's name may be."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from crl_qdrant import CRLCollection, InputError
from crl_qdrant.stores import open_store


def test_the_home_directory_and_file_urls_are_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    CRLCollection.create("products", location="~/a shop", dimension=3).close()
    assert (tmp_path / "a shop" / "products").is_dir()
    folder = (tmp_path / "a shop").as_uri()  # with %20 in it
    for location in ("~/a shop", Path("~/a shop"), folder, folder.replace("file://", "file://localhost"), "a shop"):
        with CRLCollection.open("products", location=location) as products:
            assert products.count() == 0


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        ("s3://bucket/shop", "use a directory of this machine or a server"),
        ("gs://bucket", "use a directory of this machine or a server"),
        (Path("s3://bucket"), "use a directory of this machine or a server"),
        ("grpc://localhost:6334", "prefer_grpc=True"),
        ("http:/localhost:6333", "a server is written http://host:6333"),
        ("https:/", "a server is written https://host:6333"),
        ("HTTP:/localhost", "a server is written http://host:6333"),
        ("http://", "a server is written http://host:6333"),
        (":memory", "must be ':memory:' for a collection in memory"),
        (":mem:", "must be ':memory:' for a collection in memory"),
        ("localhost:6333", "write it as http://localhost:6333"),
        ("localhost:6333/shop", "write it as http://localhost:6333/shop"),
        ("file://server/share", "file:///absolute/path"),
        ("file:shop/x", "file:///absolute/path"),
        ("a\0b", "NUL"),
        ("file:///a%00b", "NUL"),
        ("~nobody-of-that-name/x", "the home directory"),
    ],
)
def test_other_locations_are_refused_with_what_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str | Path, meant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=meant.replace("(", r"\(")):
        open_store(location, "products")
    with pytest.raises(InputError):
        CRLCollection.create("products", location=location, dimension=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["हिन्दी-उत्पाद", "สินค้าทั้งหมด", unicodedata.normalize("NFD", "Möbel"), "日本語", "a.b-c_1"]
)
def test_names_in_any_script(tmp_path: Path, name: str) -> None:
    CRLCollection.create(name, location=tmp_path, dimension=3).close()
    for form in ("NFC", "NFD"):
        with CRLCollection.open(unicodedata.normalize(form, name), location=tmp_path) as products:
            assert products.name == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "-a", ".a", "a b", "a\n", "a\0", "\ud800", "a" * 181, "क" * 61, None]
)
def test_names_that_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="`name` must"):
        CRLCollection.create(name, location=tmp_path, dimension=3)


def test_the_longest_names(tmp_path: Path) -> None:
    for name in ("a" * 180, "क" * 60):
        with CRLCollection.create(name, location=tmp_path, dimension=3) as products:
            assert products.add([1], embeddings=[[1, 2, 3]]).written == 1
