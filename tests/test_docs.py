"""Every snippet and command of the README and the pages under docs/ is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
from small_datasets import make_cards, make_clevr4, make_deepfashion, make_genecis, make_words

import crl_qdrant
from crl_qdrant.cli import criteria, evaluate
from crl_qdrant.cli.app import app, main
from crl_qdrant.demo.products import sample_products
from crl_qdrant.demo.render import render

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("connectors/*/README.md")),
]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the snippets take for granted: photos, a query, a catalogue."""
    (tmp_path / "photos").mkdir()
    rows = ["sku,brand"]
    for number, product in enumerate(sample_products(4, seed=1), start=1):
        render(product).save(tmp_path / "photos" / f"{number}.jpg")
        rows.append(f"{number},Acme")
    render(sample_products(1, seed=2)[0]).save(tmp_path / "query.jpg")
    (tmp_path / "catalog.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRL_DEVICE", "cpu")
    return tmp_path


def make_benchmarks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation's data sets in small, in their real layouts, and one criterion's words for each."""
    make_clevr4(folder / "data" / "clevr4", 24)
    make_cards(folder / "data" / "cards", each=1)
    make_deepfashion(folder / "data" / "fashion", train=60)
    make_genecis(folder / "data" / "genecis")
    for name, criterion in {"clevr4": "color", "cards": "suits", "fashion": "fabric", "genecis": "scene"}.items():
        make_words(folder / f"{name}.json", criterion)
    # the commands' own default is CLIP, whose weights would be fetched
    monkeypatch.setenv("CRL_ENCODER", "demo")


def make_tagged_products(folder: Path) -> None:
    """Forty products with their attributes in the catalogue, and a file with ten labels."""
    rows, labels = ["sku,pattern,colour,type"], ["id,label"]
    for number, product in enumerate(sample_products(40, seed=1), start=1):
        render(product, size=64).save(folder / "photos" / f"{number}.jpg")
        rows.append(f"{number},{product.pattern},{product.colour},{product.silhouette}")
        labels.append(f"{number},{product.pattern}")
    (folder / "catalog.csv").write_text("\n".join(rows))
    (folder / "ten.csv").write_text("\n".join(labels[:11]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets_run(page: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": page.stem}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_run(page: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.stem == "evaluation":
        make_benchmarks(shop, monkeypatch)
    if page.stem in ("evaluation", "tasks"):
        make_tagged_products(shop)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in "".join(blocks(page, "sh")).splitlines():
        program, *arguments = shlex.split(line, comments=True)
        if program == "crl-qdrant":
            monkeypatch.setattr(sys, "argv", [program, *arguments])
            with pytest.raises(SystemExit) as stop:
                main()
            assert not stop.value.code, line
        elif program == "make":
            assert f"\n{arguments[0]}: " in makefile, line
        else:
            assert program == "pip", f"say here how to check: {line}"
            wanted = re.fullmatch(r"crl-qdrant(?:\[([\w-]+)\])?", arguments[-1])
            assert wanted is not None, line
            if extra := wanted.group(1):
                assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_page_is_linked_from_the_readme_and_in_the_site() -> None:
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {*re.findall(r"docs/([\w-]+\.md)", readme)} == pages - {"index.md"}  # which is the site's own first page
    assert {*re.findall(r": ([\w-]+\.md)\n", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))} == pages


def test_every_public_name_is_in_the_reference() -> None:
    listed = re.findall(r"^::: crl_qdrant\.(\w+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.M)
    errors_too = {name for name in crl_qdrant.__all__ if name.endswith("Error")} | {"__version__", "errors"}
    assert {*listed} | errors_too == {*crl_qdrant.__all__, "errors"}
    assert len(listed) == len({*listed})


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the site needs the extra docs")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    reference = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    assert 'id="crl_qdrant.CRLCollection.search"' in reference
    commands = (tmp_path / "site" / "commands" / "index.html").read_text(encoding="utf-8")
    for group, program in (("", app), ("criteria ", criteria.app), ("eval ", evaluate.app)):
        for command in program.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__.replace("_", "-")
            assert f"<code>crl-qdrant {group}{name}</code>" in commands, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_checkpoints_of_open_clip_exist(page: Path) -> None:
    for model, tag in re.findall(r"open_clip:([\w-]+)/([\w-]+)", page.read_text(encoding="utf-8")):
        checkpoint = open_clip.get_pretrained_cfg(model, tag)
        assert checkpoint, f"{model}/{tag}"
        architecture = open_clip.get_model_config(model)
        assert bool(checkpoint.get("quick_gelu")) == bool(architecture.get("quick_gelu")), f"{model}/{tag}"


def test_the_composed_server_is_recent_and_guarded() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    version = re.search(r"qdrant/qdrant:v1\.(\d+)\.\d+", compose)
    assert version is not None
    assert int(version.group(1)) >= 18
    assert all(part in compose for part in ("QDRANT__SERVICE__API_KEY: ${QDRANT_API_KEY", "healthcheck:", "volumes:"))
