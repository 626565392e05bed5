from __future__ import annotations

import os
import uuid
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from crl_qdrant import CatalogError, CatalogOptions, id_of_key, MissingPackageError
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
