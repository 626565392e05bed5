"""`crl-qdrant eval`, as it is typed: on small data sets in the real layouts, and on the demo's catalogue."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from fakes import PublishedCombiner
from small_datasets import make_cards, make_clevr4, make_deepfashion, make_genecis, make_words

from crl_qdrant.cli.app import main
from crl_qdrant.demo.galleries import change_queries, focus_queries, GALLERY
from crl_qdrant.demo.products import sample_products
from crl_qdrant.errors import CriterionError, StoreError, VocabularyError
from crl_qdrant.evaluation.paper import paper_figure
from crl_qdrant.evaluation.report import Run, write_report
from crl_qdrant.evaluation.scores import Score
from crl_qdrant.evaluation.tables import Results, Row, Table
from crl_qdrant.evaluation.words import criteria_of, read_words

Eval = Callable[..., tuple[int, str, str]]
PRODUCTS = sample_products(300, seed=5)


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Eval:
    """Runs `crl-qdrant eval` in this process: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRL_DEVICE", "cpu")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crl-qdrant", "eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def cells(report: Path) -> dict[tuple[str, str, str], list[str]]:
    """A Markdown report's lines: (table, criterion, method) -> the other cells."""
    found, title = {}, ""
    for line in report.read_text(encoding="utf-8").splitlines():
        title = line[3:] if line.startswith("## ") else title
        if line.startswith("| ") and not line.startswith("| criterion"):
            name, method, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            found[title, name, method] = rest
    return found


def test_clevr4(evaluate: Eval, tmp_path: Path) -> None:
    make_clevr4(tmp_path / "clevr4")
    make_words(tmp_path / "words.json", "color")
    command = ["clevr4", "--data", "clevr4", "--words", "words.json", "--encoder", "demo", "--seeds", 3]
    status, out, err = evaluate(*command)
    assert (status, err) == (0, "")
    assert "Open crl-eval/clevr4/report.html" in out
    found = cells(tmp_path / "crl-eval" / "clevr4" / "report.md")
    raw, ours = (found["Clevr4-10k: clustering", "color", method] for method in ("raw", "CRL"))
    # every figure beside the paper's
    assert raw[1::2] == ["0.83", "12.23", "0.27"]
    assert ours[1::2] == ["88.67", "88.05", "82.30"]
    assert float(ours[0].split(" ± ")[0]) > float(raw[0].split(" ± ")[0]) + 20
    shots = found["Clevr4-10k: few-shot", "color", "CRL"]
    assert shots[4:] == ["–", "93.08"]  # six images of each colour are too few for ten shots
    assert float(shots[2].split(" ± ")[0]) > 90
    page = (tmp_path / "crl-eval" / "clevr4" / "report.html").read_text(encoding="utf-8")
    assert "crl-qdrant eval clevr4 --data clevr4 --words words.json --encoder demo --seeds 3" in page
    assert "seeds: 0 to 2" in page
    assert "figures are not to be compared" in page
    assert page.count("<svg") == 5
    assert page.count("data:image/jpeg") == 2 * 2 * 7
    assert not re.search(r'(src|href)="(?!data:)', re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))
    # again: the same figures, and nothing is embedded anew
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "crl-eval" / "clevr4").glob("*.npy")}
    assert len(kept) == 1
    evaluate(*command)
    assert cells(tmp_path / "crl-eval" / "clevr4" / "report.md") == found
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_cards(evaluate: Eval, tmp_path: Path) -> None:
    make_cards(tmp_path / "cards", each=3)
    make_words(tmp_path / "words.json", "number", "suits")
    status, _, err = evaluate(
        "cards",
        "--data",
        "cards",
        "--words",
        "words.json",
        "--encoder",
        "demo",
        "--seeds",
        2,
        "--scaling",
        "paper",
        "--out",
        "out",
    )
    assert (status, err) == (0, "")
    found = cells(tmp_path / "out" / "report.md")
    for name in ("number", "suits"):
        assert float(found["Cards: clustering", name, "CRL"][0].split(" ± ")[0]) > 80
    assert "scaling of R: paper" in (tmp_path / "out" / "report.md").read_text()


def test_fashion(evaluate: Eval, tmp_path: Path) -> None:
    make_deepfashion(tmp_path / "data", candidates=60)
    make_words(tmp_path / "words.json", "texture", "fabric", "shape", "style")
    results = []
    # the shortest list, of fabric, has 12 words
    for more, said in (
        ([], "reduced to: 12"),
        (["--no-reduce"], "not reduced"),
        (["--limit", 8], "not the whole data"),
    ):
        status, _, err = evaluate(
            "fashion", "--data", "data", "--words", "words.json", "--encoder", "demo", "--out", "out", *more
        )
        assert (status, err) == (0, "")
        results.append(cells(tmp_path / "out" / "report.md"))
        assert said in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    title = "DeepFashion: retrieval by attribute"
    reduced, whole, few = results
    for name in ("texture", "fabric", "shape", "style"):
        assert float(reduced[title, name, "CRL"][0]) > float(reduced[title, name, "raw"][0]) + 10
    # the shortest list is never reduced; all attributes have as many queries, so the mean is plain
    assert whole[title, "fabric", "CRL"] == reduced[title, "fabric", "CRL"]
    own = [float(whole[title, name, "CRL"][0]) for name in ("texture", "fabric", "shape", "style")]
    assert float(whole[title, "all", "CRL"][0]) == pytest.approx(sum(own) / 4, abs=0.01)
    assert whole[title, "all", "CRL"][1] == "7.93"
    assert few[title, "shape", "raw"] != whole[title, "shape", "raw"]
    # a mean over some attributes is not put beside the paper's over all
    make_words(tmp_path / "words.json", "fabric")
    evaluate("fashion", "--data", "data", "--words", "words.json", "--encoder", "demo", "--out", "out")
    assert cells(tmp_path / "out" / "report.md")[title, "these", "CRL"] == [whole[title, "fabric", "CRL"][0], ""]


def test_fashion_with_training(evaluate: Eval, tmp_path: Path) -> None:
    make_deepfashion(tmp_path / "data", candidates=40, queries=20, train=120)
    # few words of the attribute among all of another one: a head learns which of them to go by
    words = json.loads(make_words(tmp_path / "words.json", "shape", "style").read_text())
    (tmp_path / "words.json").write_text(json.dumps({"shape": words["shape"][::4] + words["style"]}))
    command = ["fashion", "--data", "data", "--words", "words.json", "--encoder", "demo", "--out", "out"]
    training = ["--fine-tune", "--epochs", 40, "--triplets", 256, "--tuning-epochs", 1]
    status, _, err = evaluate(*command, *training)
    assert (status, err) == (0, "")
    found = cells(tmp_path / "out" / "report.md")
    title = "DeepFashion: retrieval by attribute"
    methods = ["raw", "CRL", "CRL, trained", "CRL*"]
    assert [method for _, name, method in found if name == "shape"] == methods
    assert float(found[title, "shape", "CRL, trained"][0]) > float(found[title, "shape", "CRL"][0]) + 10
    assert found[title, "shape", "CRL*"][0] != found[title, "shape", "CRL, trained"][0]
    assert found[title, "shape", "CRL, trained"][1] == "16.98"
    assert "heads 40 epochs of 256, image tower 1 epochs of 256" in (tmp_path / "out" / "report.md").read_text()
    # the weights are a checkpoint that open_clip loads; all is there at once when it is run again
    assert any(name.startswith("visual.") for name in torch.load(tmp_path / "out" / "tuned.pt", weights_only=True))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*ing.pt")}
    kept[tmp_path / "out" / "heads.pt"] = (tmp_path / "out" / "heads.pt").stat().st_mtime_ns
    evaluate(*command, *training)
    assert cells(tmp_path / "out" / "report.md") == found
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    # what there is nothing to train with is said
    (tmp_path / "data" / "DeepFashion" / "label_train.txt").write_text("0 4 1\n1 4 2\n2 4 1\n")
    status, _, err = evaluate(*command, *training)
    assert status == 1
    assert "nothing to train or validate shape with" in err


def test_genecis(evaluate: Eval, tmp_path: Path) -> None:
    make_genecis(tmp_path / "genecis-data")
    make_words(tmp_path / "words.json", "scene")
    for more in ([], ["--form", "paper", "--limit", 4]):
        status, _, err = evaluate(
            "genecis", "--data", "genecis-data", "--words", "words.json", "--encoder", "demo", "--out", "out", *more
        )
        assert (status, err) == (0, "")
        found = cells(tmp_path / "out" / "report.md")
        assert {method for _, _, method in found} == {"image", "text", "image + text", "raw", "CRL"}
        assert found["GeneCIS: conditional similarity", "focus", "CRL"][1::2] == ["15.40", "26.70", "35.80"]
        assert found["GeneCIS: conditional similarity", "change", "text"][1::2] == ["", "", ""]
        steps = 100 / (4 if more else 8)
        assert all(float(cell) % steps == 0 for row in found.values() for cell in row[0::2])
    assert "focus 4, change 4" in (tmp_path / "out" / "report.md").read_text()


def test_genecis_with_fine_tuned_weights_and_the_combiner(evaluate: Eval, tmp_path: Path) -> None:
    make_genecis(tmp_path / "genecis-data", images=30, queries=3)
    make_words(tmp_path / "words.json", "scene")
    torch.manual_seed(1)
    torch.save(PublishedCombiner(128, 8, 8).state_dict(), tmp_path / "head.pt")
    tuned = f"open_clip:local-dir:{files('crl_qdrant.demo') / 'model'}"
    more = ["--encoder", "demo", "--tuned", tuned, "--combiner", "head.pt", "--out", "out"]
    status, _, err = evaluate("genecis", "--data", "genecis-data", "--words", "words.json", *more)
    assert (status, err) == (0, "")
    found = cells(tmp_path / "out" / "report.md")
    own = ["image", "text", "image + text", "raw", "CRL"]
    assert [method for _, half, method in found if half == "focus"] == [*own, *(f"{each}*" for each in own), "Combiner"]
    title = "GeneCIS: conditional similarity"
    assert found[title, "change", "CRL*"][1::2] == ["21.00", "35.90", "44.80"]
    assert found[title, "focus", "Combiner"][1::2] == ["16.60", "", ""]
    # the same weights under another name
    assert found[title, "focus", "CRL*"][0::2] == found[title, "focus", "CRL"][0::2]


def test_words_may_be_packaged_or_asked_for(evaluate: Eval, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cards(tmp_path / "cards", each=1)
    status, out, err = evaluate("cards", "--data", "cards", "--encoder", "demo", "--seeds", 1)
    assert (status, err) == (0, "")
    assert "the words are the packaged lists', not the paper's" in out
    assert "there are no words: suits" in out
    make_deepfashion(tmp_path / "data", candidates=12, queries=6)
    command = ["fashion", "--data", "data", "--encoder", "demo", "--out", "out"]
    asked: list[str] = []

    class Answering:
        def __call__(self, name: str, *, n_words: int | None = None, domain: str | None = None) -> list[str]:
            if asked == ["texture", "fabric"]:
                raise VocabularyError("no more answers")
            asked.append(name)
            return ["smooth", "rough", "shiny"]

    monkeypatch.setattr("crl_qdrant.LanguageModel", Answering)
    status, _, err = evaluate(*command, "--ask")
    assert (status, "no more answers" in err) == (1, True)
    assert list(read_words(tmp_path / "out" / "words.json")) == ["texture", "fabric"]
    asked.append("nothing")
    assert evaluate(*command, "--ask")[0] == 0
    assert asked == ["texture", "fabric", "nothing", "shape", "part", "style"]


def test_the_demo_in_small(evaluate: Eval, tmp_path: Path) -> None:
    status, out, err = evaluate("demo", "--small")
    assert (status, err) == (0, "")
    found = cells(tmp_path / "crl-eval" / "demo" / "report.md")
    worse = [
        (title, name)
        for title, name, method in found
        if method == "CRL"
        and float(found[title, name, "CRL"][0].split(" ± ")[0]) <= float(found[title, name, "raw"][0].split(" ± ")[0])
    ]
    assert worse == []
    assert {title.split(": ")[1] for title, _, _ in found} == {
        "clustering",
        "few-shot",
        "retrieval by attribute",
        "conditional similarity",
    }
    assert "paper" not in out


def test_what_cannot_be_evaluated_is_said_in_one_line(evaluate: Eval, tmp_path: Path) -> None:
    words = make_words(tmp_path / "words.json", "color")

    def refused(*arguments: object) -> str:
        status, _, err = evaluate(*arguments, "--encoder", "demo")
        assert status == 1
        assert err.count("\n") == 1
        return err

    (tmp_path / "empty").mkdir()
    assert "clevr_4_10k_v1.zip" in refused("clevr4", "--data", "empty", "--words", words)
    cards = make_cards(tmp_path / "cards", each=1)
    assert "words for one of number, suits; got words for color" in refused("cards", "--data", cards, "--words", words)
    data = make_clevr4(tmp_path / "clevr4", 8)
    assert "cannot be read as JSON" in refused("clevr4", "--data", data, "--words", "none.json")
    assert "not both" in refused("clevr4", "--data", data, "--words", words, "--ask")
    broken = data / "clevr_4_10k_v1" / "images" / "CLEVR_new_000003.png"
    broken.write_bytes(broken.read_bytes()[:200])
    assert "1 of 8 images cannot be embedded: image" in refused(
        "clevr4", "--data", data, "--words", words, "--seeds", 1
    )


def test_words_are_taken_once_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    prompts = {"color": "objects with the color of {}", "shape": "objects with the shape of {}"}
    criteria, notes = criteria_of({"color": ["red", "Blue", "RED ", "blue", "green"], "mood": ["calm"]}, prompts)
    assert criteria["color"].words == ("red", "Blue", "green")
    assert criteria["color"].texts[0] == "objects with the color of red"
    assert notes == (
        "color: 2 of 5 words came before and were left out",
        "words of mood were not used: the criteria here are color, shape",
        "not evaluated, for there are no words: shape",
    )
    file = tmp_path / "words.json"
    file.write_text(json.dumps({"color": ["red", "blue"]}))
    assert read_words(file) == {"color": ["red", "blue"]}
    file.write_text('{"color": "red, blue"}')
    with pytest.raises(CriterionError, match="criterion -> list of words"):
        read_words(file)
    with pytest.raises(CriterionError, match="must be texts, got 3"):
        criteria_of({"color": ["red", 3]}, prompts)  # type: ignore[list-item]


@pytest.mark.parametrize("criterion", ["silhouette", "colour", "pattern", "count"])
def test_focus_has_one_right_answer(criterion: str) -> None:
    queries = focus_queries(PRODUCTS, criterion, number=20, seed=1)
    assert queries == focus_queries(PRODUCTS, criterion, number=20, seed=1)
    assert len(queries) == 20
    for query in queries:
        own = PRODUCTS[query.reference].attributes()
        assert query.condition == criterion
        assert PRODUCTS[query.target].attributes()[criterion] == own[criterion]
        assert query.target != query.reference
        assert len(set(query.gallery)) == GALLERY
        for row in query.gallery:
            other = PRODUCTS[row].attributes()
            assert other[criterion] != own[criterion]
            assert any(other[name] == own[name] for name in own)


def test_change_needs_both_image_and_text() -> None:
    queries = change_queries(PRODUCTS, "silhouette", "colour", number=20, seed=1)
    assert len(queries) == 20
    for query in queries:
        reference, target = PRODUCTS[query.reference], PRODUCTS[query.target]
        assert target.silhouette == reference.silhouette
        assert target.colour == query.condition != reference.colour
        half = [PRODUCTS[row] for row in query.gallery if PRODUCTS[row].silhouette == reference.silhouette]
        assert len(half) == GALLERY // 2
        assert all(each.colour != query.condition for each in half)
        assert sum(PRODUCTS[row].colour == query.condition for row in query.gallery) == GALLERY // 2


def test_a_catalogue_too_small_gives_fewer_queries() -> None:
    assert focus_queries(PRODUCTS[:5], "colour", number=3, seed=0) == []


def test_the_papers_figures_stand_beside_the_cells_they_belong_to() -> None:
    assert paper_figure("Clevr4-10k: few-shot", "texture", "CRL", "10 shots") == 45.54
    assert paper_figure("Clevr4-10k: few-shot", "texture", "raw, standardised", "10 shots") is None
    assert paper_figure("Demo catalogue: clustering", "count", "CRL", "NMI") is None


def test_a_report_escapes_what_it_shows_and_needs_a_folder(tmp_path: Path) -> None:
    table = Table("made up", ("mAP",), (Row("<b>", "raw", {"mAP": Score((0.5,))}),))
    page = write_report(Results((table,)), Run("<i>", "crl-qdrant eval x --words 'a<b.json'", {}), tmp_path / "out")
    text = re.sub(r"<svg.*?</svg>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "<i>" not in text
    assert "| <b> | raw | 50.00 |" in (tmp_path / "out" / "report.md").read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(Results((table,)), Run("x", "y", {}), tmp_path / "file")
