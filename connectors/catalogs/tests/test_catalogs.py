from __future__ import annotations

import os
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crl_qdrant import CatalogError, CatalogOptions, CRLCollection, id_of_key, MissingPackageError
from crl_qdrant.ingestion.catalogs import find_reader
from crl_qdrant_catalogs.folder import FOLDER
from crl_qdrant_catalogs.table import TABLE

UUID = "550e8400-e29b-41d4-a716-446655440000"


def test_keys_become_ids_that_never_collide() -> None:
    assert id_of_key("42") == 42
    assert id_of_key(UUID) == UUID
    assert id_of_key("SKU-7") == str(uuid.uuid5(uuid.NAMESPACE_URL, "SKU-7"))
    keys = [UUID, UUID.upper(), "42", "042", "4.2", "-42", "٤٢", str(2**64), "9" * 5001, "a", "A"]
    assert len({id_of_key(key) for key in keys}) == len(keys)


def table(folder: Path, text: str, name: str = "catalog.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_items_with_all_their_columns(tmp_path: Path) -> None:
    source = table(tmp_path, 'id,name,price\n007,"a ""dress"", red",9.5\n8,,\n9,late text,12\n')
    (tmp_path / "007.png").touch()
    rows = TABLE.read(source, CatalogOptions(images=tmp_path, id_column="id"))
    items = list(rows)
    assert len(rows) == len(items) == 3  # type: ignore[arg-type]
    assert items[0].payload == {
        "id": "007",
        "name": 'a "dress", red',
        "price": 9.5,
        "image_path": "007.png",
    }
    assert items[1].payload == {"id": "8", "image_path": "8.jpg"}
    assert [item.id for item in items] == [id_of_key("007"), 8, 9]
    assert items[0].image == tmp_path / "007.png"


def test_a_column_can_name_the_pictures(tmp_path: Path) -> None:
    source = table(tmp_path, "id\tfile\n1\tshoes/a.jpg\n2\t\n", "catalog.tsv")
    items = list(TABLE.read(source, CatalogOptions(images=tmp_path, id_column="id", image_column="file")))
    assert [item.image for item in items] == [tmp_path / "shoes/a.jpg", None]


def test_types_are_found_in_the_whole_column(tmp_path: Path) -> None:
    source = table(tmp_path, "id,size\n" + "".join(f"{n},{n}\n" for n in range(3000)) + "3000,XL\n")
    items = list(TABLE.read(source, CatalogOptions(id_column="id")))
    assert items[0].payload == {"id": "0", "size": "0"}
    assert items[-1].payload == {"id": "3000", "size": "XL"}


def test_numbers_are_numbers_only_where_they_read_back_the_same(tmp_path: Path) -> None:
    header = "id,ean,price,year,sold,big,note\n"
    rows = "1,0012345678905,9.50,2016.0,true,99999999999999999999,NaN\n2,42,12,NaN,FALSE,1,x\n"
    first, second = TABLE.read(table(tmp_path, header + rows), CatalogOptions(id_column="id"))
    assert first.payload == {
        "id": "1",
        "ean": "0012345678905",
        "price": 9.5,
        "year": 2016.0,
        "sold": True,
        "big": "99999999999999999999",
        "note": "NaN",
    }
    assert second.payload == {"id": "2", "ean": "42", "price": 12.0, "sold": False, "big": "1", "note": "x"}


def test_a_row_without_a_key_has_no_id(tmp_path: Path) -> None:
    items = list(TABLE.read(table(tmp_path, "id,a\n1,x\n,y\n"), CatalogOptions(images=tmp_path, id_column="id")))
    assert [item.id for item in items] == [1, None]


@pytest.mark.parametrize("text", ["", "id,a\n1,2,3,4\n", "id,a\n\x00\xff"])
def test_what_is_no_table(tmp_path: Path, text: str) -> None:
    source = tmp_path / "catalog.csv"
    source.write_bytes(text.encode("latin-1"))
    with pytest.raises(CatalogError, match=r"catalog\.csv"):
        list(TABLE.read(source, CatalogOptions(id_column="id")))


def test_a_folder_is_read_with_its_subfolders(tmp_path: Path) -> None:
    for name in ("b.PNG", "shoes/a.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    items = list(FOLDER.read(tmp_path, CatalogOptions()))
    assert [item.payload["key"] for item in items if item.payload] == ["b", "shoes/a"]
    assert items[1].image == tmp_path / "shoes/a.jpg"
    (tmp_path / "shoes/a.png").touch()
    twins = [item.key for item in FOLDER.read(tmp_path, CatalogOptions())]
    assert twins == ["b", "shoes/a.jpg", "shoes/a.png"]
    with pytest.raises(CatalogError, match="no columns"):
        FOLDER.read(tmp_path, CatalogOptions(id_column="id"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CatalogError, match="no image in"):
        FOLDER.read(tmp_path / "empty", CatalogOptions())


def test_readers_are_found_by_their_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the group's name is public: readers of others are registered under it
    assert {"folder", "table"} <= {each.name for each in entry_points(group="crl_qdrant.catalogs")}
    assert find_reader(table(tmp_path, "id\n1\n")) is TABLE
    assert find_reader(tmp_path) is FOLDER
    with pytest.raises(CatalogError, match=r"no reader takes .*; there are readers for: folder, table"):
        find_reader(table(tmp_path, "", "catalog.xlsx"))
    with pytest.raises(CatalogError, match="there is no catalogue"):
        find_reader(tmp_path / "gone.csv")
    monkeypatch.setattr("crl_qdrant.ingestion.catalogs.entry_points", lambda group: ())
    with pytest.raises(MissingPackageError, match="pip install"):
        find_reader(tmp_path)


def test_names_that_are_no_utf8_or_no_names_cost_nothing(tmp_path: Path) -> None:
    bad = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    bad.touch()
    (item,) = FOLDER.read(tmp_path, CatalogOptions())
    assert item.payload == {"key": r"caf\xe9", "image_path": r"caf\xe9.jpg"}
    assert item.image == bad
    long = "x" * 300
    (row,) = TABLE.read(table(tmp_path, f"id\n{long}\n"), CatalogOptions(images=tmp_path, id_column="id"))
    assert row.id == id_of_key(long)


def test_what_spreadsheets_write(tmp_path: Path) -> None:
    source = table(tmp_path, "id;name;price\n1;a, b;9,50\n2;c;10,00\n")
    items = list(TABLE.read(source, CatalogOptions(id_column="id")))
    assert items[0].payload == {"id": "1", "name": "a, b", "price": "9,50"}
    source.write_bytes("id,name\n1,Röcke\n".encode("latin-1"))
    with pytest.raises(CatalogError, match="not in UTF-8; save it as CSV UTF-8"):
        TABLE.read(source, CatalogOptions(id_column="id"))
    with pytest.raises(CatalogError, match="a row has more values than the header has columns"):
        TABLE.read(table(tmp_path, "id,name\n1,a,b,c\n"), CatalogOptions(id_column="id"))


def test_a_url_stays_one_and_a_row_without_a_key_says_which(tmp_path: Path) -> None:
    source = table(tmp_path, "id,file\n1,https://shop.example/1.jpg\n,2.jpg\n")
    first, second = TABLE.read(source, CatalogOptions(images=tmp_path, id_column="id", image_column="file"))
    assert first.image == "https://shop.example/1.jpg"
    assert "image_path" not in (first.payload or {})
    assert (second.id, second.key) == (None, "row 2")


def test_numbers_stay_texts_where_a_number_would_lose_some(tmp_path: Path) -> None:
    rows = "1,12e4,9007199254740993,1E999\n2,3,NaN,1\n"
    first, _ = TABLE.read(table(tmp_path, "id,style,order,big\n" + rows), CatalogOptions(id_column="id"))
    assert first.payload == {"id": "1", "style": "12e4", "order": "9007199254740993", "big": "1E999"}


def test_blanks_capitals_and_quoted_headers(tmp_path: Path) -> None:
    (tmp_path / "3.JPG").touch()
    source = table(tmp_path, 'id;"name, title";file\n3;a; 3.JPG \n   ;b;\n')
    options = CatalogOptions(images=tmp_path, id_column="id")
    first, second = TABLE.read(source, options)
    assert (first.image, second.id) == (tmp_path / "3.JPG", None)
    named = CatalogOptions(images=tmp_path, id_column="id", image_column="file")
    assert next(iter(TABLE.read(source, named))).image == tmp_path / "3.JPG"


def test_images_outside_the_folder_are_rejected_unless_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    secret = tmp_path / "secret.png"
    for path in (secret, folder / "1.png"):
        Image.new("RGB", (2, 2)).save(path)
    (folder / "link.png").symlink_to(secret)
    rows = f"id,file\n1,1.png\n2,../secret.png\n3,{secret}\n4,link.png\n5,../../../../../../etc/passwd\n"
    options = CatalogOptions(images=folder, id_column="id", image_column="file")
    items = list(TABLE.read(table(tmp_path, rows), options))
    assert [item.image for item in items] == [folder / "1.png", None, None, None, None]
    assert all("is outside the folder" in str(item.error) for item in items[1:])
    with CRLCollection.create("products", location=":memory:", encoder=Grey()) as products:
        report = products.ingest(items)
        assert (report.written, [each.key for each in report.rejected]) == (1, ["2", "3", "4", "5"])
        allowed = list(TABLE.read(table(tmp_path, rows), replace(options, outside=True)))
        assert products.ingest(allowed[:4]).written == 3
    by_key = TABLE.read(table(tmp_path, "id\n../secret\n"), CatalogOptions(images=folder, id_column="id"))
    assert "is outside the folder" in str(next(iter(by_key)).error)
    first, link = FOLDER.read(folder, CatalogOptions())
    assert (first.error, link.image) == (None, None)
    assert FOLDER.read(folder, CatalogOptions(outside=True))[1].image == folder / "link.png"


class Grey:
    name = "grey"
    dimension = 2

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.ones((len(images), 2))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 2))


def test_line_ends_marks_and_encodings(tmp_path: Path) -> None:
    text = "id,name\n1,Röcke\n2,b\n"
    right = [{"id": "1", "name": "Röcke"}, {"id": "2", "name": "b"}]
    source = tmp_path / "catalog.csv"
    for content in (text.replace("\n", "\r"), text.replace("\n", "\r\n"), "\ufeff" + text):
        source.write_bytes(content.encode())
        assert [item.payload for item in TABLE.read(source, CatalogOptions(id_column="id"))] == right
    source.write_bytes(text.encode("utf-16"))
    assert [item.payload for item in TABLE.read(source, CatalogOptions(id_column="id"))] == right
    source.write_bytes(text.encode("cp1252"))
    given = CatalogOptions(id_column="id", encoding="cp1252")
    assert [item.payload for item in TABLE.read(source, given)] == right
    with pytest.raises(CatalogError, match="--encoding cp1252"):
        TABLE.read(source, CatalogOptions(id_column="id"))
    for wrong, complaint in (
        ("klingon", "no encoding 'klingon'"),
        ("ascii", "say another one"),
        ("zip", "no encoding"),
    ):
        with pytest.raises(CatalogError, match=complaint):
            TABLE.read(source, CatalogOptions(id_column="id", encoding=wrong))


def test_a_header_of_any_length(tmp_path: Path) -> None:
    long = "x" * 131_073
    (item,) = TABLE.read(table(tmp_path, f'id;"{long}"\n1;a\n'), CatalogOptions(id_column="id"))
    assert item.payload == {"id": "1", long: "a"}


def test_a_name_finds_its_file_in_either_unicode_form(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Röcke") for form in ("NFC", "NFD"))
    for stored, written in ((composed, apart), (apart, composed)):
        folder = tmp_path / str(len(stored))
        folder.mkdir()
        (folder / f"{stored}.png").touch()
        source = table(folder, f"id,file\n{written},{written}.png\n")
        by_key = next(iter(TABLE.read(source, CatalogOptions(images=folder, id_column="id"))))
        named = next(iter(TABLE.read(source, CatalogOptions(images=folder, id_column="id", image_column="file"))))
        assert by_key.image == named.image == folder / f"{stored}.png"
        assert by_key.id == id_of_key(composed)
