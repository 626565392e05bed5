"""The program, as it is typed."""

from __future__ import annotations

import csv
import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import picture

from crl_qdrant import Criterion, CRLCollection, PRESETS
from crl_qdrant.cli import criteria
from crl_qdrant.cli.app import main
from crl_qdrant.demo.products import sample_products
from crl_qdrant.demo.render import render
from crl_qdrant.encoders import load_encoder

Run = Callable[..., tuple[int, str, str]]
PRODUCTS = sample_products(12, seed=8)


@pytest.fixture
def crl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the program in this process: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crl-qdrant", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A shop's table with pictures: keys with leading zeros, an empty cell, a row whose picture is missing."""
    (tmp_path / "photos").mkdir()
    with (tmp_path / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "colour", "silhouette", "price"])
        for number, product in enumerate(PRODUCTS):
            render(product).save(tmp_path / "photos" / f"{number + 1}.png")
            writer.writerow([number + 1, product.colour, product.silhouette, "" if number == 2 else 9.5 + number])
        writer.writerow(["99", "red", "hat", 1.0])
    return tmp_path / "catalog.csv"


def ingest(crl: Run, *more: object) -> tuple[int, str, str]:
    return crl("ingest", "catalog.csv", "--images", "photos", "--id-column", "sku", "--device", "cpu", *more)


def test_from_a_catalogue_to_hits(crl: Run, catalog: Path) -> None:
    status, out, err = ingest(crl, "--encoder", "demo")
    assert (status, out) == (0, "12 written, 0 unchanged, 1 rejected\n")
    assert err == "rejected 99: there is no image file photos/99.jpg\n"
    again = json.loads(ingest(crl, "--json")[1])
    assert (again["written"], again["unchanged"], again["rejected"][0]["id"]) == (0, 12, 99)

    (catalog.parent / "words.txt").write_text("red\n\nblue\ngreen\n")
    assert crl("criteria", "add", "colour", "black", "white", "--words-file", "words.txt", "--prompt", "{} goods")[
        :2
    ] == (
        0,
        "criterion colour: 5 words\n",
    )
    assert "defined" in crl("criteria", "list")[1]
    assert crl("materialize", "colour")[1] == "criterion colour: 12 points written\n"
    assert json.loads(crl("materialize", "colour", "--json")[1]) == {"criteria": ["colour"], "written": 0}
    crl("criteria", "add", "size", "small", "large")
    assert crl("materialize", "colour", "size")[1] == "criteria colour, size: 12 points written\n"
    crl("criteria", "drop", "size")
    assert "5 words in “{} goods”" in crl("criteria", "show", "colour")[1]
    shown = json.loads(crl("criteria", "show", "colour", "--json")[1])
    assert shown["words"] == ["black", "white", "red", "blue", "green"]
    (listed,) = json.loads(crl("criteria", "list", "--json")[1])
    assert (listed["state"], listed["points"], listed["rank"]) == ("materialized", 12, 9)
    assert "12 points, 128 dimensions, encoder demo" in crl("info")[1]
    assert json.loads(crl("info", "--json")[1])["criteria"][0]["name"] == "colour"

    hits = json.loads(crl("search", "photos/4.png", "-c", "colour", "-n", "3", "--json")[1])
    assert hits[0]["id"] == 4
    assert hits[0]["payload"]["image_path"] == "4.png"
    assert "price" not in json.loads(crl("search", "photos/3.png", "-n", "1", "--json")[1])[0]["payload"]
    table = crl("search", "--like", "4", "--criterion", "colour", "--field", "silhouette")[1]
    assert "silhouette" in table
    assert PRODUCTS[3].silhouette not in table or "score" in table
    red = json.loads(crl("search", "--text", "a hat", "--where", "colour=red", "--json")[1])
    assert {hit["payload"]["colour"] for hit in red} <= {"red"}
    assert crl("criteria", "drop", "colour")[1] == "criterion colour dropped\n"


def test_columns_with_odd_names(crl: Run, catalog: Path) -> None:
    catalog.write_text("sku,in stock,size.eu\n1,yes,40\n2,no,41\n3,yes,40\n,no,40\n3,no,40\n")
    status, out, err = ingest(crl, "--encoder", "demo")
    assert (status, out) == (0, "3 written, 0 unchanged, 2 rejected\n")
    assert "rejected row 4: it has no id; where it comes from a table, its key is empty\n" in err
    assert "key 3 stands more than once" in err
    assert "yes" in crl("search", "--like", "1", "--field", "in stock")[1]
    found = crl("search", "--like", "1", "--where", "in stock=yes", "--where", '"size.eu"=40', "--json")[1]
    assert [(hit["id"], list(hit["scores"])) for hit in json.loads(found)] == [(3, ["image"])]
    assert crl("search", "--like", "1", "--where", "size.eu=40")[2] == (
        "no item has a field size.eu; a column whose name has a dot in it goes in quotes, '\"size.eu\"=…'\nno hits\n"
    )
    assert crl("search", "--like", "1", "--where", "sku=7")[2] == "no hits\n"


def test_a_change_that_waits_is_said(crl: Run, catalog: Path) -> None:
    ingest(crl, "--encoder", "demo")
    crl("criteria", "add", "colour", "red", "blue")
    crl("materialize", "colour")
    waits = "searches and tags use the old version until: crl-qdrant materialize colour\n"
    assert crl("criteria", "add", "colour", "black", "white", "green")[2] == waits
    assert crl("criteria", "tag", "colour")[2] == waits
    assert crl("criteria", "inspect", "colour")[2] == waits
    assert "materialized, change pending" in crl("info")[1]
    assert crl("criteria", "add", "colour", "--n-words", "9")[1:] == (
        "criterion colour: 3 words\n",
        f"the criterion keeps its words; give others, use --ask, or drop the criterion first\n{waits}",
    )
    crl("materialize", "colour")
    assert crl("criteria", "tag", "colour")[2] == ""
    assert crl("criteria", "add", "cut", "a", "b", "c", "-o", "suppress=colour")[1] == "criterion cut: 3 words\n"
    assert json.loads(crl("criteria", "show", "cut", "--json")[1])["options"]["suppress"] == ["colour"]
    with_modifier = json.loads(crl("search", "--like", "1", "-c", "colour", "-m", "with stripes", "--json")[1])
    assert list(with_modifier[0]["scores"]) == ["colour", "modifier"]


def test_ones_own_embeddings(crl: Run, catalog: Path) -> None:
    np.save(catalog.parent / "vectors.npy", np.random.default_rng(0).normal(size=(13, 6)).astype(np.float16))
    status, out, _ = crl("ingest", "catalog.csv", "--id-column", "sku", "--embeddings", "vectors.npy")
    assert (status, out) == (0, "13 written, 0 unchanged, 0 rejected\n")
    assert "6 dimensions, encoder none" in crl("info")[1]
    np.save(catalog.parent / "short.npy", np.ones((3, 6)))
    status, _, err = crl("ingest", "catalog.csv", "--id-column", "sku", "--embeddings", "short.npy")
    assert (status, err) == (1, "error: short.npy has 3 rows and catalog.csv has 13 items; each item needs one\n")
    assert crl("ingest", "catalog.csv", "--id-column", "sku", "--embeddings", "catalog.csv")[0] == 1


def test_a_folder_of_images(crl: Run, catalog: Path) -> None:
    assert crl("ingest", "photos", "--encoder", "demo", "--device", "cpu")[1] == "12 written, 0 unchanged, 0 rejected\n"
    assert json.loads(crl("search", "photos/2.png", "-n", "1", "--json")[1])[0]["payload"]["key"] == "2"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ingest", "nowhere.csv"], "error: there is no catalogue nowhere.csv\n"),
        (["ingest", "catalog.csv"], "error: say which column of catalog.csv is the items' key: --id-column NAME\n"),
        (["demo", "--out", "catalog.csv"], "the demo cannot be written to catalog.csv"),
        (
            ["ingest", "catalog.csv", "--images", "photos", "--id-column", "key"],
            "has no column 'key'; it has: sku, colour, silhouette, price",
        ),
        (["ingest", "catalog.csv", "--id-column", "sku", "--image-column", "file"], "has no column 'file'"),
        (["ingest", "catalog.csv", "--id-column", "sku"], "say where the images of catalog.csv are"),
        (["info", "--location", "localhost:6333"], "write it as http://localhost:6333"),
        (["ingest", "catalog.csv", "--id-column", "sku", "--images", "gone"], "no folder of images gone"),
        (["ingest", "catalog.csv", "--id-column", "sku", "--images", "photos"], "--encoder demo"),
        (
            ["ingest", "photos/1.png", "--encoder", "demo"],
            "no reader takes photos/1.png; there are readers for: folder, table",
        ),
        (["search", "photos/1.png"], "there is no folder data, so no collection 'products' in it"),
        (["search", "--text", "x", "--where", "colour"], "must be FIELD=VALUE, got 'colour'"),
        (["criteria", "add", "colour", "red", "--ask"], "give either words or --ask, not both"),
        (["criteria", "add", "colour", "--words-file", "gone.txt"], "gone.txt cannot be read"),
        (["info", "--location", "http://127.0.0.1:9"], "the Qdrant server cannot be reached"),
    ],
)
def test_errors_are_one_line(crl: Run, catalog: Path, arguments: list[str], complaint: str) -> None:
    status, out, err = crl(*arguments)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert complaint in err


def test_stopping_at_the_first_bad_item(crl: Run, catalog: Path) -> None:
    status, _, err = ingest(crl, "--encoder", "demo", "--stop-on-error")
    assert (status, err) == (1, "error: there is no image file photos/99.jpg\n")
    assert json.loads(crl("info", "--json")[1])["points"] == 12


def test_a_where_that_is_none(crl: Run, tmp_path: Path) -> None:
    CRLCollection.create("products", location=tmp_path / "data", dimension=3).close()
    assert "must be FIELD=VALUE, got 'colour'" in crl("search", "--like", "1", "--where", "colour")[2]


def test_numbers_texts_and_truths_can_be_asked_for(crl: Run, tmp_path: Path) -> None:
    with CRLCollection.create("products", location=tmp_path / "data", dimension=3) as products:
        payloads: list[dict[str, Any]] = [{"a": 7}, {"a": "7"}, {"a": True}, {"a": "true"}, {"a": "x"}]
        products.add(ids=range(5), embeddings=np.random.default_rng(0).normal(size=(5, 3)), payloads=payloads)
    for value, ids in (("7", {0, 1}), ("7.0", {0}), ("true", {2, 3})):
        hits = json.loads(crl("search", "--like", "4", "--where", f"a={value}", "--json")[1])
        assert {hit["id"] for hit in hits} == ids


def test_help_and_version(crl: Run) -> None:
    status, out, _ = crl("--help")
    assert status == 0
    assert all(command in out for command in ("demo", "ingest", "search", "criteria", "materialize", "info"))
    assert crl("--version")[1].count(".") == 2


@pytest.mark.slow
def test_a_bar_in_a_terminal_and_silence_in_a_pipe(catalog: Path) -> None:
    command = [sys.executable, "-m", "crl_qdrant.cli", "ingest", "catalog.csv", "--images", "photos"]
    command += ["--id-column", "sku", "--encoder", "demo", "--device", "cpu"]
    ours, theirs = pty.openpty()
    terminal = subprocess.Popen(
        command, cwd=catalog.parent, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # a terminal whose other end is closed
        pass
    os.close(ours)
    terminal.communicate()
    assert b"adding" in shown
    assert b"13/13" in shown
    piped = subprocess.run(command, cwd=catalog.parent, capture_output=True, text=True, check=True)
    assert piped.stdout == "0 written, 12 unchanged, 1 rejected\n"
    assert piped.stderr.splitlines() == ["rejected 99: there is no image file photos/99.jpg"]


def test_ctrl_c_says_how_to_go_on(crl: Run, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crl_qdrant.ingestion.writer.Writer.write", stopped)
    status, _, err = ingest(crl, "--encoder", "demo")
    assert (status, err) == (130, "interrupted; what was written stays, and the same command resumes\n")


def test_a_picture_can_be_asked_about_that_is_not_in_the_catalogue(crl: Run, catalog: Path, tmp_path: Path) -> None:
    ingest(crl, "--encoder", "demo")
    picture("red", (50, 80)).save(tmp_path / "query.jpg")
    assert len(json.loads(crl("search", "query.jpg", "--json")[1])) == 10


def test_keys_that_are_no_ids_can_be_asked_for_and_texts_are_no_markup(crl: Run, tmp_path: Path) -> None:
    render(PRODUCTS[0]).save(tmp_path / "SKU-7.png")
    (tmp_path / "catalog.csv").write_text("sku,title\nSKU-7,Shirt [bold] [/x]\n0042,\n")
    render(PRODUCTS[1]).save(tmp_path / "0042.png")
    assert crl("ingest", "catalog.csv", "--images", ".", "--id-column", "sku", "--encoder", "demo")[0] == 0
    assert "Shirt [bold] [/x]" in crl("search", "--like", "0042", "--field", "title")[1]
    (hit,) = json.loads(crl("search", "--like", "SKU-7", "--json")[1])
    assert hit["payload"]["sku"] == "0042"
    assert crl("search", "--like", "0042", "--where", "sku=x")[1:] == ("", "no hits\n")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", "id;label;note\n0;flat, wide;x\n1;flat, wide;\n12;tall;\n13;tall;\n"),
        ("labels.tsv", "id\tlabel\n0\tflat, wide\n1\tflat, wide\n12\ttall\n13\ttall\n"),
        ("LABELS.CSV", '\ufeffkey,label\r0,"flat, wide"\r1,"flat, wide"\r12,tall\r13,tall\r'),
    ],
)
def test_labels_as_spreadsheets_write_them(crl: Run, tmp_path: Path, name: str, content: str) -> None:
    with CRLCollection.create("products", location=tmp_path / "data", dimension=8) as products:
        products.add(range(24), embeddings=np.random.default_rng(1).normal(size=(24, 8)))
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    answer = json.loads(crl("few-shot", "--labels", name, "--no-abstain", "--json")[1])
    assert answer["examples"] == 4
    assert {each["label"] for each in answer["labels"]} <= {"flat, wide", "tall"}


def test_printed_commands_name_the_collection(crl: Run, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRL_LOCATION", "my data")
    monkeypatch.setenv("CRL_COLLECTION", "shop-2")
    ingest(crl, "--encoder", "demo")
    crl("criteria", "add", "colour", "red", "blue")
    crl("materialize", "colour")
    _, _, err = crl("criteria", "add", "colour", "red", "blue", "green")
    command = err.split("until: crl-qdrant ")[1]
    monkeypatch.delenv("CRL_LOCATION")
    monkeypatch.delenv("CRL_COLLECTION")
    assert crl(*shlex.split(command))[1] == "criterion colour: 12 points written\n"


def test_info_says_what_a_search_finds(crl: Run, tmp_path: Path) -> None:
    with CRLCollection.create("products", location=tmp_path / "data", dimension=8) as products:
        embeddings = np.random.default_rng(1).normal(size=(6, 8))
        products.add(range(5), embeddings=embeddings[:5])
        products.define(Criterion("kind", ["a", "b", "c"], embeddings=embeddings[:3]))
    assert (
        "kind: 3 words, 5 dimensions, defined, not fitted to images, searched by an exact scan of all 5 points\n"
        in crl("info")[1]
    )
    assert "searched by an exact scan of all 5 points" in crl("criteria", "list")[1]
    crl("materialize", "kind")
    assert "materialized, not fitted to images, 5 points\n" in crl("info")[1]
    with CRLCollection.open("products", location=tmp_path / "data") as products:
        row = (embeddings[5:] / np.linalg.norm(embeddings[5])).astype(np.float32)
        products._store.upsert([9], {"image": row}, [{}])  # as another program writes
    status, out, err = crl("info")
    found = "  kind: 3 words, 5 dimensions, materialized, not fitted to images, 1 points lack it, 5 of 6 points\n"
    assert (status, found in out) == (0, True), out
    assert err == "searches by kind find 5 of 6 points until: crl-qdrant materialize kind\n"


def test_the_help_names_every_preset() -> None:
    assert ", ".join(PRESETS) == criteria.PRESETS


def test_a_collection_without_an_encoder_says_so(crl: Run, tmp_path: Path) -> None:
    CRLCollection.create("products", location=tmp_path / "data", dimension=8).close()
    for words in (["red", "blue"], [], ["--ask"], ["--domain", "shoes"]):
        for name in ("colour", "couleur"):
            status, _, err = crl("criteria", "add", name, *words)
            assert (status, err.count("\n")) == (1, 1)
            assert "has no encoder" in err, words
            assert "bring --embeddings" in err


def test_nothing_of_use_is_a_failure(crl: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("no picture")
    status, out, err = crl("ingest", "photos", "--encoder", "demo")
    assert (status, out) == (1, "0 written, 0 unchanged, 1 rejected\n")
    assert err == "rejected a: image photos/a.png is not an image in a format that can be read\n"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text"])
def test_embeddings_that_are_none(crl: Run, catalog: Path, content: bytes) -> None:
    (catalog.parent / "bad.npy").write_bytes(content)
    status, _, err = crl("ingest", "catalog.csv", "--id-column", "sku", "--embeddings", "bad.npy")
    assert status == 1
    assert err.startswith("error: bad.npy cannot be read as a .npy file")


def test_migrate(crl: Run, catalog: Path, tmp_path: Path) -> None:
    assert ingest(crl, "--encoder", "demo")[0] == 0
    copy = load_encoder("demo")
    twin = f"open_clip:local-dir:{files('crl_qdrant.demo') / 'model'}"
    assert copy.dimension == load_encoder(twin).dimension
    status, out, _ = crl("migrate", twin, "--images", "photos", "--dry-run")
    assert (status, out.split(" points")[0]) == (0, "12 of 12")
    status, out, err = crl("migrate", twin, "--images", "photos", "--image-field", "file")
    assert (status, out) == (1, "")
    assert "12 of 12 points cannot be embedded, the first: 1: it has no payload field 'file'" in err
    assert json.loads(crl("info", "--json")[1])["encoder"] == "demo"
    status, out, _ = crl("migrate", twin, "--images", "photos", "--drop-previous", "--json")
    assert (status, json.loads(out)["done"]) == (0, True)
    assert json.loads(crl("info", "--json")[1])["encoder"] == twin


def test_grouping_tagging_and_heads(crl: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    kinds = np.repeat(rng.normal(size=(2, 8)), 12, axis=0)
    with CRLCollection.create("products", location=tmp_path / "data", dimension=8) as products:
        payloads = [{"kind": "flat" if n < 12 else "tall"} for n in range(24)]
        products.add(ids=range(24), embeddings=kinds + 0.5 * rng.normal(size=(24, 8)), payloads=payloads)
        products.define(Criterion("kind", ["a", "b", "[c]"], embeddings=rng.normal(size=(3, 8))))
    status, out, _ = crl("cluster", "kind", "-k", "2", "--field", "crl.kind")
    assert (status, "24 items in 2 groups, silhouette" in out, "[c]" in out) == (0, True, True)
    found = json.loads(crl("cluster", "kind", "--json")[1])
    assert sum(each["size"] for each in found["groups"]) == len(found["group_of"]) == 24
    assert len(json.loads(crl("cluster", "-k", "24", "--json")[1])["groups"]) == 24  # without a silhouette

    (tmp_path / "labels.csv").write_text("id,label\n0,flat\n1,flat\n12,tall\n13,tall\n14,\n")
    status, out, _ = crl("few-shot", "kind", "--labels", "labels.csv", "--field", "crl.guess", "--no-abstain")
    assert (status, "20 items labelled from 4 examples; examples left out in turn" in out) == (0, True)
    assert len(json.loads(crl("search", "--like", "0", "--where", "crl.guess=flat", "-n", "30", "--json")[1])) >= 6
    found = json.loads(crl("few-shot", "--labels", "labels.csv", "--no-abstain", "--json")[1])
    assert (found["examples"], len(found["labels"])) == (4, 20)
    assert {each["label"] for each in found["labels"]} <= {"flat", "tall"}

    report = json.loads(crl("train-head", "kind", "--labels", "kind", "--epochs", "2", "--json")[1])
    assert (report["labels"], report["trained_on"], report["validated_on"]) == (2, 20, 4)
    status, out, _ = crl("train-head", "kind", "--labels", "kind", "--epochs", "1", "--out", "5")
    assert (status, "mAP of 4 items it was not trained on: raw" in out) == (0, True)
    (tmp_path / "bad.csv").write_text("name,label\n0,flat\n")
    assert crl("few-shot", "--labels", "bad.csv")[2] == (
        "error: bad.csv needs columns id (or key) and label; it has name, label\n"
    )
    assert "gone.csv cannot be read" in crl("train-head", "kind", "--labels", "gone.csv")[2]


def test_several_criteria_with_weights(crl: Run, catalog: Path) -> None:
    ingest(crl, "--encoder", "demo")
    for name, words in (("colour", ["red", "blue", "green"]), ("silhouette", ["hat", "mug", "dress"])):
        crl("criteria", "add", name, *words)
    asked = ["search", "--like", 1, "--json", "-n", 3]
    status, out, _ = crl(*asked, "-c", "colour", "-c", "silhouette=-0.5")
    found = [hit["id"] for hit in json.loads(out)]
    with CRLCollection.open("products", location="data") as products:
        wanted = products.search(like=1, criterion={"colour": 1.0, "silhouette": -0.5}, limit=3)
    assert (status, found) == (0, [hit.id for hit in wanted])
    for wrong in (["-c", "colour=much"], ["-c", "colour", "-c", "colour=2"]):
        status, _, err = crl(*asked, *wrong)
        assert (status, "--criterion" in err) == (1, True)
    status, _, err = crl("search", "-c", "colour")
    assert (status, "an image file, --like KEY, --text TEXT" in err) == (1, True)
    status, _, err = crl("search", "--like", "SKU-9")
    assert (status, "has no item 'SKU-9'" in err) == (1, True)


def test_a_field_within_another_is_shown(crl: Run, tmp_path: Path) -> None:
    with CRLCollection.create("products", location=tmp_path / "data", dimension=4) as products:
        products.add([1, 2], embeddings=np.eye(4)[:2], payloads=[{}, {"crl": {"colour": "dark red"}, "a.b": "dotted"}])
    _, out, _ = crl("search", "--like", 1, "--field", "crl.colour")
    assert "dark red" in out
    _, out, _ = crl("search", "--like", 1)
    assert "dotted" in out


def test_what_is_written_again_is_said(crl: Run, catalog: Path) -> None:
    ingest(crl, "--encoder", "demo")
    assert "0 written, 12 unchanged" in ingest(crl)[1]
    status, out, _ = crl("ingest", "photos")
    assert (status, "12 written (12 in the place of stored ones)" in out) == (0, True)
    status, out, _ = crl("delete", 1, 2, "SKU-9")
    assert (status, out) == (0, "2 deleted\n")
    assert json.loads(crl("delete", 3, "--json")[1]) == {"deleted": 1}


def test_one_wrong_argument_is_said_once(crl: Run, catalog: Path) -> None:
    np.save("vectors.npy", np.eye(13))
    status, _, err = crl("ingest", "photos", "--embeddings", "vectors.npy", "--encoder", "demo")
    assert (status, "photos is a folder; give a table" in err) == (1, True)
    rows = ["ingest", "catalog.csv", "--id-column", "sku", "--embeddings", "vectors.npy"]
    status, _, err = crl(*rows, "--encoder", "demo")
    assert (status, "gives 128 dimensions, not 13" in err, Path("data/products").exists()) == (1, True, False)
    assert crl(*rows)[0] == 0
    status, _, err = ingest(crl)
    assert status == 1
    status, _, err = crl("ingest", "photos")
    assert (status, "has no encoder for images" in err, err.count("\n")) == (1, True, 1)
    np.save("vectors.npy", np.ones((13, 5)))
    status, _, err = crl(*rows)
    assert (status, "has 5 columns" in err, err.count("\n")) == (1, True, 1)


def test_a_name_without_words_is_answered_by_names_that_have_some(
    crl: Run, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    ingest(crl, "--encoder", "demo")
    status, _, err = crl("criteria", "add", "couleur")
    assert status == 1
    assert err.startswith("error: no words are packaged for 'couleur' (there is colour")
    status, out, _ = crl("criteria", "packaged")
    assert (status, "colour" in out.split(), len(out.split())) == (0, True, 45)


def test_an_encoder_that_is_gone_is_no_items_fault(crl: Run, catalog: Path, tmp_path: Path) -> None:
    shutil.copytree(str(files("crl_qdrant.demo") / "model"), tmp_path / "model")
    assert ingest(crl, "--encoder", "open_clip:local-dir:model")[0] == 0
    assert ingest(crl, "--encoder", "open_clip:local-dir:model")[1].startswith("0 written, 12 unchanged")
    shutil.rmtree(tmp_path / "model")
    catalog.write_text(catalog.read_text().replace(",9.5", ",8.5"))
    status, _, err = ingest(crl)
    assert (status, err.count("\n")) == (1, 1)
    assert "cannot be loaded by that name" in err


def test_a_criterion_that_is_not_there_is_what_is_said(crl: Run, tmp_path: Path) -> None:
    with CRLCollection.create("products", location=tmp_path / "data", dimension=4) as products:
        products.add([1, 2], embeddings=np.eye(4)[:2])
    assert "no criterion 'fabric1'" in crl("search", "--like", "1", "-c", "fabric1")[2]
    for wrong in ("name=x", "prompt=x", "n_words=3"):
        assert "there is no option" in crl("criteria", "add", "fit", "slim", "wide", "-o", wrong)[2]


def test_a_file_of_labels_that_is_not_clear(crl: Run, tmp_path: Path) -> None:
    with CRLCollection.create("products", location=tmp_path / "data", dimension=4) as products:
        products.add(range(6), embeddings=np.random.default_rng(0).normal(size=(6, 4)))
    (tmp_path / "labels.csv").write_text("id,label\n 1 , a\n2,b\n3,\n")
    assert crl("few-shot", "--labels", "labels.csv")[0] == 0
    for content, said in (("1,a\n1,b\n", "row 2 of labels.csv has key '1' again"), (",a\n", "no key")):
        (tmp_path / "labels.csv").write_text("id,label\n" + content)
        assert said in crl("few-shot", "--labels", "labels.csv")[2]


def test_the_advice_of_info_is_for_its_collection(crl: Run, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(300, 8))
    with CRLCollection.create("early", location=tmp_path / "data", dimension=8) as products:
        products.define(Criterion("kind", ["a", "b", "c"], embeddings=rows[:3]))
        products.add(range(300), embeddings=rows)
    assert (
        "define it again: crl-qdrant criteria add kind --collection early\n" in crl("info", "--collection", "early")[1]
    )
