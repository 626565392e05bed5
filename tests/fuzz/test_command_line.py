"""Fuzzing of the command line: random commands, options, values and files end with a status and one line."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import picture
from fuzzing import damaged, fuzz, odd_text
from typer.main import get_command

from crl_qdrant import Criterion, CRLCollection
from crl_qdrant.cli.app import app
from crl_qdrant.cli.main import main

NUMBERS = ["-1", "0", "1", "2", "3", "1e3", "0x10", "٣", "nan", "inf", "-0", str(2**31), str(2**64), "9" * 5_000]
FILES = ["data", "shop.csv", "labels.csv", "words.txt", "words.json", "a.npy", "a.png", "odd", "gone", "pictures", "."]
NAMES = [
    "kind",
    "colour",
    "products",
    "x",
    "image_path",
    "demo",
    "cpu",
    "cuda:7",
    "auto",
    "open_clip:",
    "paper",
    "true",
]
PAIRS = [
    "kind=1",
    "kind=-0.5",
    "brand=a",
    "sharpen=0.5",
    "suppress=others",
    "rank=knee",
    "=",
    "a=",
    "kind=nan",
    "a.b=1",
]
TOO_LONG = {"demo"}  # renders a catalogue, which has tests of its own


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], list[Any]]]:
    """Every command that runs something: its words and its parameters."""
    children = getattr(command, "commands", None)
    if children is None:
        return [(path, command.params)]
    return [each for name, child in children.items() for each in commands(child, (*path, name))]


COMMANDS = [each for each in commands(get_command(app)) if not TOO_LONG & set(each[0])]


def value(rng: random.Random) -> str:
    pool = rng.choice([NUMBERS, FILES, NAMES, PAIRS, None, None])
    text = odd_text(rng) if pool is None else rng.choice(pool)
    # what a process can be given: no zero byte, and of half characters those that stand for a byte
    return text.replace("\0", "\udcff").replace("\ud800", "\udce9")


def command_line(rng: random.Random) -> list[str]:
    words, parameters = rng.choice(COMMANDS)
    given = ["--debug"] if rng.random() < 0.02 else []
    given += words
    for each in parameters:
        if each.param_type_name == "argument":
            given += [value(rng) for _ in range(rng.choice([0, 1, 1, 1, 2]))]
        elif each.required or rng.random() < 0.25:
            given.append(rng.choice(each.opts))
            if not each.is_flag:
                given.append(value(rng))
    if rng.random() < 0.1:
        rng.shuffle(given)
    return given


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a collection and a file of every kind that an option takes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rng = np.random.default_rng(0)
    with CRLCollection.create("products", location="data", dimension=6) as products:
        payloads = [{"kind": "ab"[n % 2], "brand": "\x1b[31m", "image_path": "a.png", "n": n} for n in range(12)]
        products.add(range(12), embeddings=rng.normal(size=(12, 6)), payloads=payloads)
        products.define(Criterion("kind", ["a", "b", "c"], embeddings=rng.normal(size=(3, 6))))
        products.define(Criterion("colour", ["red", "blue", "dark"], embeddings=rng.normal(size=(3, 6))))
        products.materialize("colour")
    (tmp_path / "pictures").mkdir()
    picture("red").save(tmp_path / "a.png")
    picture("red").save(tmp_path / "pictures" / "1.png")
    (tmp_path / "shop.csv").write_text("sku,brand\n1,a\n2,b\n")
    (tmp_path / "labels.csv").write_text("id,label\n0,a\n2,a\n1,b\n3,b\n")
    (tmp_path / "words.txt").write_text("red\nblue\n")
    (tmp_path / "words.json").write_text(json.dumps({"color": ["red", "blue", "green"]}))
    np.save(tmp_path / "a.npy", rng.normal(size=(2, 6)))
    return tmp_path


@pytest.fixture
def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], None]:
    def run(arguments: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["crl-qdrant", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert stop.value.code in (0, 1, 2), f"{arguments}: {said.err}"
        assert "--debug" in arguments or "Traceback" not in said.err, arguments
        left = {each for each in said.out + said.err if not each.isprintable()} - {"\n"}
        assert not left, f"{arguments}: {left}"

    return run


def test_arguments(run: Callable[[list[str]], None]) -> None:
    def command(rng: random.Random) -> None:
        run(command_line(rng))

    fuzz(command, share=0.5)


def test_files(run: Callable[[list[str]], None], folder: Path) -> None:
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    readers = {
        "shop.csv": ["ingest", "shop.csv", "--id-column", "sku", "--embeddings", "a.npy"],
        "a.npy": ["ingest", "shop.csv", "--id-column", "sku", "--embeddings", "a.npy"],
        "labels.csv": ["few-shot", "kind", "--labels", "labels.csv"],
        "words.txt": ["criteria", "add", "new", "--words-file", "words.txt"],
        "words.json": ["eval", "cards", "--data", "pictures", "--words", "words.json"],
        "a.png": ["search", "a.png", "-c", "kind"],
    }

    def file(rng: random.Random) -> None:
        name = rng.choice(list(readers))
        content = rng.randbytes(rng.randrange(64)) if rng.random() < 0.2 else damaged(rng, files[name])
        (folder / name).write_bytes(content)
        run(readers[name])
        (folder / name).write_bytes(files[name])

    fuzz(file, share=0.5)
