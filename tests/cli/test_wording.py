"""Errors name what a command line has."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import crl_qdrant
from crl_qdrant.cli.app import app
from crl_qdrant.cli.wording import as_command_line, option_names

COMMANDS = get_command(app)


def reworded(message: str, *arguments: str) -> str:
    return as_command_line(message, option_names(COMMANDS, arguments))


@pytest.mark.parametrize(
    ("arguments", "message", "said"),
    [
        (["search"], "`limit` must be at least 1, got 0", "--limit must be at least 1, got 0"),
        (["search"], "limit must be at least 1, got 0", "--limit must be at least 1, got 0"),
        (["ingest"], "`batch_size` must be at least 1", "--batch-size must be at least 1"),
        (["cluster"], "`k` must be at least 2", "-k must be at least 2"),
        (["criteria", "add"], "n_words and domain are for words", "--n-words and domain are for words"),
        (["criteria", "add"], 'use more words, or preset="paper"', "use more words, or --preset paper"),
        (["criteria", "add"], 'the images (center="both" or', "the images (center=both or"),
        (["search"], "use device='cpu', or install", "use --device cpu, or install"),
        (["criteria", "tag"], "choose another field=…", "choose another --field …"),
        (["search"], "materialize('colour'), or", "crl-qdrant materialize colour, or"),
        (["ingest"], "gives 128, not 13; leave dimension out", "gives 128, not 13; leave out --encoder, or bring"),
        (["migrate"], 'leave them behind with on_error="skip"', "leave them behind with --skip"),
        (["criteria", "show"], "there is no criterion 'a_name'", "there is no criterion 'a_name'"),
        (["search"], "no field with_payload_x", "no field with_payload_x"),
        (["info"], "`limit` must be", "`limit` must be"),
    ],
)
def test_python_becomes_options(arguments: list[str], message: str, said: str) -> None:
    assert reworded(message, *arguments).startswith(said)


def raised_messages() -> list[tuple[str, str]]:
    """What the library raises, with "0" for each value, and where."""
    found = []
    folder = Path(crl_qdrant.__file__).parent
    for path in folder.rglob("*.py"):
        if "cli" in path.relative_to(folder).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                found += [(text, f"{path.relative_to(folder)}:{node.lineno}") for text in texts(node.exc)]
    return found


def texts(node: ast.AST) -> list[str]:
    """The texts in an expression, each f-string as one."""
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    return [text for child in ast.iter_child_nodes(node) for text in texts(child)]


# Said of what is done in Python only: objects of one's own, clients, asyncio.
IN_PYTHON = (
    "representations(",
    "float() or str()",
    "convert it with str()",
    "create(…, dimension=",
    "AsyncCRLCollection",
    "QdrantClient",
    "CRLCollection.open(…, encoder=…)",
    "CRLCollection.create and copy",
    "Filter(must=[…])",
    "open_clip.list_models()",
    'precision="fp32"',
)


CALL_OR_KEYWORD = re.compile(r"[a-z_]\((?!s\))[^)\s]*\)|(?<![\w.])[a-z_]+=(?![\w/])")


def test_no_message_of_the_library_is_left_in_python() -> None:
    every: dict[str, str] = {}
    for command in walk(COMMANDS):
        every |= option_names(command, ())
    left = []
    for message, where in raised_messages():
        said = as_command_line(message, every)
        if not any(part in said for part in IN_PYTHON) and CALL_OR_KEYWORD.search(said):
            left.append(f"{where}: {said}")
    assert not left


def walk(command: Any) -> list[Any]:
    children = getattr(command, "commands", {}).values()
    return [command, *(each for child in children for each in walk(child))]
