"""How the program ends: one line and an exit status, whatever it is given and wherever it prints."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crl_qdrant.cli
from crl_qdrant import Criterion, CRLCollection
from crl_qdrant.cli.main import main

Run = Callable[..., tuple[int, str, str]]
PROGRAM = [sys.executable, "-m", "crl_qdrant.cli"]
LATIN_1 = os.fsdecode(b"caf\xe9")


@pytest.fixture
def crl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the program in this process: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crl-qdrant", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory with a collection of 40 points, whose payloads are long enough to fill a pipe."""
    with CRLCollection.create("products", location=tmp_path / "data", dimension=4) as products:
        payloads = [{"title": "x" * 5_000, "brand": "a"} for _ in range(40)]
        products.add(range(40), embeddings=np.random.default_rng(0).normal(size=(40, 4)), payloads=payloads)
    return tmp_path


def run_program(*arguments: str | bytes, cwd: Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *arguments], cwd=cwd, stderr=subprocess.PIPE, check=False, **options)


@pytest.mark.parametrize(
    "arguments",
    [
        ["delete", LATIN_1],
        ["search", "--like", LATIN_1],
        ["search", "--text", LATIN_1],
        ["search", "--like", "1", "--where", f"brand={LATIN_1}"],
        ["search", "--like", "1", "--field", LATIN_1],
        ["search", f"{LATIN_1}.jpg"],
        ["criteria", "add", LATIN_1, "red", "blue"],
        ["info", f"--collection={LATIN_1}"],
        [LATIN_1],
    ],
)
def test_bytes_that_are_no_text_are_refused(crl: Run, shop: Path, arguments: list[str]) -> None:
    status, out, err = crl(*arguments)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "must be UTF-8 text or the name of a file, got b'" in err
    assert r"caf\xe9" in err


def test_a_variable_that_is_no_text_is_named(crl: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRL_COLLECTION", LATIN_1)
    assert crl("info")[2].startswith("error: CRL_COLLECTION must be UTF-8 text")


def test_a_files_name_may_be_any_bytes(crl: Run, shop: Path) -> None:
    (shop / f"{LATIN_1}.csv").write_text("id,label\n1,a\n2,a\n3,b\n4,b\n")
    assert crl("few-shot", f"--labels={LATIN_1}.csv")[0] == 0
    (shop / f"{LATIN_1}.txt").write_text("red\nblue\n")
    status, _, err = crl("criteria", "add", "colour", "--words-file", f"{LATIN_1}.txt")
    assert (status, "UTF-8" in err) == (1, False)  # it has no encoder, which is another matter


def test_a_reader_that_leaves_is_no_error(shop: Path) -> None:
    for more in (["--json"], []):
        reading, writing = os.pipe()
        os.close(reading)
        result = run_program("search", "--like", "1", "-n", "39", *more, cwd=shop, stdout=writing)
        os.close(writing)
        assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("arguments", [["info"], ["search", "--like", "1", "-n", "39", "--json"], ["--help"]])
def test_a_full_disk_is_told(shop: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        result = run_program(*arguments, cwd=shop, stdout=full)
        assert result.returncode == 1
        assert result.stderr.startswith(b"error: ")
        assert b"No space left on device" in result.stderr
        assert result.stderr.count(b"\n") == 1
        both = subprocess.run([*PROGRAM, *arguments], cwd=shop, stdout=full, stderr=full, check=False)
        assert both.returncode == 1


def test_closed_streams_are_not_given_to_files(shop: Path) -> None:
    command = 'exec "$@" <&- >&- 2>&-'
    result = subprocess.run(["sh", "-c", command, "sh", *PROGRAM, "delete", "3"], cwd=shop, check=False)
    assert result.returncode == 0
    with CRLCollection.open("products", location=shop / "data") as products:
        assert products.count() == 39


@pytest.mark.parametrize("module", ["typer", "numpy", "qdrant_client", "crl_qdrant.cli.app", "qdrant_edge"])
def test_ctrl_c_while_a_module_is_imported(shop: Path, module: str) -> None:
    """Each kind of error that an interrupted import becomes, at the moment of the import."""
    (shop / "sitecustomize.py").write_text(
        f"""
import importlib.abc, os, signal, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt as stop:
                raise ImportError("the extension module was interrupted") from stop

sys.meta_path.insert(0, Finder())
"""
    )
    paths = os.pathsep.join([str(shop), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = run_program("info", cwd=shop, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths})
    assert (result.returncode, result.stdout) == (130, b"")
    assert result.stderr == b"interrupted; what was written stays, and the same command resumes\n"


def test_ctrl_c_is_given_back_after_a_command(crl: Run, shop: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert crl("info")[0] == 0
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("error", [ValueError("odd\n\x1b[31mvalue"), AssertionError(), RecursionError("deep")])
def test_what_nobody_expected_is_one_line(
    crl: Run, shop: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("crl_qdrant.collection.core.Core.info", fail)
    status, out, err = crl("info")
    assert (status, out, err.count("\n"), "\x1b" in err) == (70, "", 1, False)
    assert err.startswith(f"error: unexpected {type(error).__name__}")
    assert "please report it" in err
    for debug in (["--debug", "info"], ["info"]):
        status, _, err = crl(*debug)
        assert (status, "Traceback" in err) == (70, "--debug" in debug or bool(os.environ.get("CRL_DEBUG")))
        monkeypatch.setenv("CRL_DEBUG", "1")


def test_an_error_of_ours_can_be_traced(crl: Run, shop: Path) -> None:
    assert "Traceback" not in crl("search", "--like", "77")[2]
    status, _, err = crl("--debug", "search", "--like", "77")
    assert (status, "Traceback" in err, "NotFoundError" in err) == (1, True, True)


def test_an_error_of_the_system_names_the_file(crl: Run, shop: Path) -> None:
    (shop / "file").write_text("")
    status, _, err = crl("info", "--location", "file/data")
    assert (status, err.count("\n")) == (1, 1)
    assert "file/data" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serach"], "error: No such command 'serach'"),
        (["search", "--limt", "3"], "see crl-qdrant search --help"),
        (["search", "-n", "three"], "see crl-qdrant search --help"),
        (["\x1b[31mred"], r"error: No such command '\x1b[31mred'"),
        (["info", "a\nb"], "see crl-qdrant info --help"),
    ],
)
def test_a_command_line_that_cannot_be_read(crl: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    status, out, err = crl(*arguments)
    assert (status, out, err.count("\n"), "\x1b" in err) == (2, "", 1, False)
    assert said in err


def test_no_command_shows_the_help(crl: Run) -> None:
    for arguments in ([], ["criteria"], ["eval"]):
        status, out, err = crl(*arguments)
        assert (status, out, err.startswith("Usage: crl-qdrant")) == (2, "", True)


STEERING = "\ufeff\U000e0041\u200b\x1b]0;gone\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\r\b\x7f"


def test_texts_cannot_steer_the_terminal(crl: Run, tmp_path: Path) -> None:
    with CRLCollection.create("products", location=tmp_path / "data", dimension=4) as products:
        payloads = [{"title": f"{number}{STEERING}", f"f{STEERING}": STEERING} for number in range(12)]
        products.add(range(12), embeddings=np.random.default_rng(0).normal(size=(12, 4)), payloads=payloads)
    (tmp_path / "labels.csv").write_text(f"id,label\n1,a{STEERING[:2]}\n2,a{STEERING[:2]}\n3,b\n4,b\n", newline="")
    commands = [
        ["search", "--like", "1"],
        ["search", "--like", "1", "--field", "title"],
        ["search", "--like", STEERING],
        ["search", "--like", "1", "-c", STEERING],
        ["search", "--like", "1", "--where", f"{STEERING}=1"],
        ["search", STEERING],
        ["few-shot", "--labels", "labels.csv"],
        ["few-shot", "--labels", "labels.csv", "--field", STEERING],
        ["cluster", STEERING],
        ["criteria", "add", STEERING, "red", "blue"],
        ["info", "--collection", STEERING],
        ["info", "--location", STEERING],
        ["ingest", STEERING],
        [STEERING],
    ]
    shown = [crl(*command) for command in commands]
    for command, (_, out, err) in zip(commands, shown, strict=True):
        left = {character for character in out + err if not character.isprintable()} - {"\n"}
        assert not left, command
    assert r"\x1b" in shown[0][1]
    assert r"\u202e" in shown[0][1]


def test_json_holds_the_texts_as_they_are(crl: Run, tmp_path: Path) -> None:
    with CRLCollection.create("products", location=tmp_path / "data", dimension=4) as products:
        products.add([1, 2], embeddings=np.eye(4)[:2], payloads=[{"title": f"é{STEERING}"}] * 2)
    _, out, _ = crl("search", "--like", "1", "--json")
    assert json.loads(out)[0]["payload"]["title"] == f"é{STEERING}"
    assert {character for character in out if not character.isprintable()} == {"\n"}


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], ""),
        (["--version"], ""),
        (["criteria", "add", "--help"], ""),
        (["search", "--help"], ""),
        (["delete"], ""),
        (["info"], "qdrant_client"),
        (["search", "--like", "1", "--json"], "qdrant_client"),
        (["search", "--like", "1", "-c", "kind"], "qdrant_client"),
        (["delete", "39"], "qdrant_client"),
        (["materialize", "kind"], "qdrant_client"),
    ],
)
def test_a_command_imports_what_it_needs(shop: Path, arguments: list[str], heavy: str) -> None:
    with CRLCollection.open("products", location=shop / "data") as products:
        products.define(Criterion("kind", ["a", "b", "c"], embeddings=np.eye(4)[:3]))
        products.materialize("kind")
    code = """
import json, sys
from crl_qdrant.cli.main import main
try:
    main()
finally:
    sys.stderr.write("\\n" + json.dumps(sorted(sys.modules)))
"""
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
    loaded = set(json.loads(result.stderr.splitlines()[-1]))
    never = {"torch", "open_clip", "transformers", "anthropic", "polars", "sklearn", "matplotlib"}
    assert not loaded & never
    if not heavy:
        assert not loaded & {"numpy", "PIL", "qdrant_client", "qdrant_edge", "rich"}
    else:
        assert heavy in loaded
        assert result.returncode == 0


def test_commands_print_by_what_makes_texts_visible() -> None:
    """A command that writes to the terminal by another way would print what payloads hold."""
    folder = Path(crl_qdrant.cli.__file__).parent
    for path in folder.glob("*.py"):
        if path.name in ("output.py", "main.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not {module for module in modules if module and module.startswith("rich")}, path
        assert not calls & {"typer.echo", "typer.secho", "print", "sys.stdout.write", "sys.stderr.write"}, path
