"""Every loader on a small data set in its layout, as it should be and as real folders sometimes are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_datasets import make_cards, make_clevr4, make_deepfashion, make_genecis

from crl_qdrant.errors import DatasetError
from crl_qdrant.evaluation.datasets import (
    load_cards,
    load_clevr4,
    load_deepfashion,
    load_deepfashion_training,
    load_genecis,
)


def test_clevr4(tmp_path: Path) -> None:
    data = load_clevr4(make_clevr4(tmp_path, 12))
    assert [path.name for path in data.images] == [f"CLEVR_new_{row:06d}.png" for row in range(12)]
    assert data.labels["color"][:3] == ("red", "orange", "yellow")
    assert set(data.labels["count"]) <= {"1", "2", "3", "4"}
    assert list(data.labels) == ["texture", "shape", "color", "count"]
    assert load_clevr4(tmp_path / "clevr_4_10k_v1") == data
    few = data.limited(3)
    assert [path.name[-6:-4] for path in few.images] == ["00", "05", "11"]
    assert few.labels["color"] == tuple(data.labels["color"][row] for row in (0, 5, 11))
    with pytest.raises(DatasetError, match="12 images, Clevr4-10k has 10,531"):
        load_clevr4(tmp_path, complete=True)


def test_clevr4_that_is_not_right(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"clevr_4_10k_v1\.zip"):
        load_clevr4(tmp_path)
    file = make_clevr4(tmp_path, 8) / "clevr_4_10k_v1" / "clevr_4_annots.json"
    good = file.read_text()
    annotations = json.loads(good)

    def refuses(content: str, match: str) -> None:
        file.write_text(content)
        with pytest.raises(DatasetError, match=match):
            load_clevr4(tmp_path)

    refuses(good[:-10], "cannot be read as JSON")
    refuses("[]", "image name -> labels")
    refuses(good[:-1] + ", " + good[1:], "entries more than once: .* and 5 more")
    first, second = list(annotations)[:2]
    wrong = {**annotations, first: {**annotations[first], "color": "mauve"}, second: 3}
    refuses(json.dumps(wrong), f"2 labels .*: {first} has color 'mauve', {second} is 3, not an object")
    refuses(json.dumps({**annotations, "gone": annotations[first]}), "1 of 9 images are missing: .*gone.png")


@pytest.mark.parametrize("unique_names", [True, False])
def test_cards_are_joined_whatever_the_order(tmp_path: Path, unique_names: bool) -> None:
    data = load_cards(make_cards(tmp_path, unique_names=unique_names))
    assert len(data.images) == 32
    for path, number, suit in zip(data.images, data.labels["number"], data.labels["suits"], strict=True):
        assert path.parent.name == number
        assert any(path.read_bytes() == each.read_bytes() for each in (tmp_path / "cards" / "suits" / suit).iterdir())
    assert sorted(set(data.labels["suits"])) == ["clubs", "diamonds", "hearts", "spades"]
    with pytest.raises(DatasetError, match="has 32 images, Cards has 8,029"):
        load_cards(tmp_path / "cards", complete=True)


def test_cards_that_are_not_right(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"AugDMC_datasets\.zip"):
        load_cards(tmp_path)
    cards = make_cards(tmp_path, each=1) / "cards"
    for name in (".DS_Store", "Thumbs.db", "._000.jpg"):
        (cards / "number" / "ace" / name).write_bytes(b"")
    (cards / "suits" / ".cache").mkdir()
    assert len(load_cards(tmp_path).images) == 16
    lost = next((cards / "suits" / "hearts").iterdir())
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(DatasetError, match=rf"1 pictures are only in one of number/ and suits/: .*{lost.name}"):
        load_cards(tmp_path)
    lost.write_bytes(content)
    (cards / "suits" / "spades" / "copy.jpg").write_bytes(content)
    (cards / "number" / "two" / "copy.jpg").write_bytes(content)
    (cards / "number" / "ace" / "copy.jpg").write_bytes(content)  # names are no longer unique
    with pytest.raises(DatasetError, match="in more than one folder of suits/"):
        load_cards(tmp_path)
    (cards / "number" / "joker").mkdir()
    with pytest.raises(DatasetError, match="has the folders joker"):
        load_cards(tmp_path)


def test_deepfashion_goes_by_id_not_by_line(tmp_path: Path) -> None:
    folder = make_deepfashion(tmp_path) / "DeepFashion"
    data = load_deepfashion(tmp_path)
    assert list(data.queries) == list(data.candidates) == ["texture", "fabric", "shape", "style"]
    files = (folder / "filenames_test.txt").read_text().split()
    for kind, entries in (("query", data.queries), ("candidate", data.candidates)):
        found = {
            (data.images[row].name, value)
            for row, value in zip(entries["shape"].rows, entries["shape"].values, strict=True)
        }
        written = [line.split() for line in (folder / f"{kind}_test.txt").read_text().splitlines()]
        assert found == {
            (Path(files[int(row)]).name, int(value)) for row, attribute, value in written if attribute == "2"
        }
    few = data.limited(4)
    assert all(len(entries.rows) == 4 for entries in (*few.queries.values(), *few.candidates.values()))
    assert len(few.images) == 8
    assert few.images[few.queries["style"].rows[0]] == data.images[data.queries["style"].rows[0]]


def test_deepfashion_that_is_not_right(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"data\.zip"):
        load_deepfashion(tmp_path)
    folder = make_deepfashion(tmp_path, candidates=4, queries=2) / "DeepFashion"
    file = folder / "candidate_test.txt"
    good = file.read_text()
    file.write_text(good + "\n".join(good.splitlines()[:3]) + "\n\n")
    assert load_deepfashion(tmp_path).repeated == 3
    assert len(load_deepfashion(tmp_path).candidates["shape"].rows) == 4
    file.write_text(good + "6 0 1\n0 5 1\n0 2 180\n0 2\nx y z\n")
    with pytest.raises(DatasetError, match=r"5 lines .*'6 0 1' has id 6 of 6 images, '0 5 1' has attribute 5.*2 more"):
        load_deepfashion(tmp_path)
    file.write_text("".join(line + "\n" for line in good.splitlines() if line.split()[1] != "4"))
    with pytest.raises(DatasetError, match=r"queries without candidates in .*: style"):
        load_deepfashion(tmp_path)
    file.write_text(good)
    (folder / "img" / "test_0" / "img_00000000.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 of 6 images are missing: .*img_00000000.jpg"):
        load_deepfashion(tmp_path)


def test_deepfashion_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no .*filenames_train\.txt.*label_train\.txt.*data\.zip"):
        load_deepfashion_training(make_deepfashion(tmp_path, candidates=4, queries=2))
    folder = make_deepfashion(tmp_path, candidates=4, queries=2, train=6) / "DeepFashion"
    assert load_deepfashion(tmp_path, split="valid").images != load_deepfashion(tmp_path).images
    data = load_deepfashion_training(tmp_path)
    assert [path.name for path in data.images] == [f"img_{row:08d}.jpg" for row in range(6)]
    written = [list(map(int, line.split())) for line in (folder / "label_train.txt").read_text().splitlines()]
    assert data.entries["style"].values.tolist() == [line[line.index(4, 1) + 1] for line in written]
    few = data.limited(2)
    assert [path.name for path in few.images] == ["img_00000000.jpg", "img_00000005.jpg"]
    assert few.entries["shape"].rows.tolist() == [0, 1]
    # several values of one attribute, and images that have none
    (folder / "label_train.txt").write_text("3 0 1 0 2 4 7\n1 0 2\n1 0 2\n")
    data = load_deepfashion_training(tmp_path)
    assert [path.name for path in data.images] == ["img_00000001.jpg", "img_00000003.jpg"]
    assert (data.entries["texture"].rows.tolist(), data.entries["texture"].values.tolist()) == ([1, 1, 0], [1, 2, 2])
    assert data.repeated == 1
    (folder / "label_train.txt").write_text("3 0 1 0\n9 0 1\n2 4 230\n")
    with pytest.raises(DatasetError, match=r"3 lines .*'3 0 1 0' is not 'id attribute value \[attribute value …\]'"):
        load_deepfashion_training(tmp_path)
    (folder / "label_train.txt").write_text("")
    with pytest.raises(DatasetError, match="is empty"):
        load_deepfashion_training(tmp_path)


def test_genecis(tmp_path: Path) -> None:
    make_genecis(tmp_path)
    data = load_genecis(tmp_path)
    assert {half: len(queries) for half, queries in data.queries.items()} == {"focus": 8, "change": 8}
    written = json.loads((tmp_path / "genecis" / "change_object.json").read_text())
    for query, entry in zip(data.queries["change"], written, strict=True):
        assert query.condition == entry["condition"]
        ids = [int(data.images[row].stem) for row in (query.reference, *query.candidates)]
        assert ids == [each["val_image_id"] for each in (entry["reference"], entry["target"], *entry["gallery"])]
    few = data.limited(1)
    assert len(few.images) <= 32
    assert few.images[few.queries["focus"][0].target] == data.images[data.queries["focus"][0].target]


def test_genecis_leaves_out_galleries_of_other_sizes(tmp_path: Path) -> None:
    file = make_genecis(tmp_path) / "genecis" / "focus_object.json"
    entries = json.loads(file.read_text())
    entries[2]["gallery"] = entries[2]["gallery"][:9]
    file.write_text(json.dumps(entries))
    data = load_genecis(tmp_path)
    assert (len(data.queries["focus"]), data.left_out) == (7, 1)
    assert all(len(query.candidates) == 15 for query in data.queries["focus"])


def drop_target(entry: dict[str, Any]) -> None:
    del entry["target"]


def add_box(entry: dict[str, Any]) -> None:
    entry["reference"] = {"image_id": 3, "box": [0, 0, 1, 1]}


def negative(entry: dict[str, Any]) -> None:
    entry["gallery"][3]["val_image_id"] = -1


def blank(entry: dict[str, Any]) -> None:
    entry["condition"] = " "


def no_gallery(entry: dict[str, Any]) -> None:
    entry["gallery"] = []


def missing(entry: dict[str, Any]) -> None:
    entry["target"]["val_image_id"] = 7


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (drop_target, "query 1: it has no 'target'"),
        (add_box, "query 1: it has no 'val_image_id'; the object halves"),
        (negative, "query 1: -1 is no id"),
        (blank, "query 1: its condition is ' '"),
        (no_gallery, "query 1: its gallery is not a list"),
        (missing, r"1 of \d+ images are missing: .*000000000007.jpg"),
    ],
)
def test_genecis_that_is_not_right(tmp_path: Path, change: Callable[[Any], None], match: str) -> None:
    with pytest.raises(DatasetError, match="facebookresearch/genecis"):
        load_genecis(tmp_path)
    file = make_genecis(tmp_path, images=20, queries=2) / "genecis" / "focus_object.json"
    entries = json.loads(file.read_text())
    change(entries[1])
    file.write_text(json.dumps(entries))
    with pytest.raises(DatasetError, match=match):
        load_genecis(tmp_path)


def test_rows_are_numbers_that_index_embeddings(tmp_path: Path) -> None:
    data = load_deepfashion(make_deepfashion(tmp_path, candidates=4, queries=2))
    assert np.arange(len(data.images))[data.queries["shape"].rows].dtype == np.int64
