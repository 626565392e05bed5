"""Every command and option is explained, in words that fit 80 columns, and stands in the command reference."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from crl_qdrant.cli.app import app

ROOT = Path(__file__).parents[2]
BUILT_IN = {"install_completion", "show_completion", "help"}
# one standard term each: see CONTRIBUTING
OTHER_TERMS = re.compile(r"pictur|materialis|goes? on\b|chang\w* over|\banew\b|\bhold(s|ing)?\b|which respect", re.I)


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command and group, with its words."""
    children = getattr(command, "commands", {})
    return [(path, command), *(each for name, child in children.items() for each in commands(child, (*path, name)))]


COMMANDS = commands(get_command(app))


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) or "crl-qdrant" for path, _ in COMMANDS])
def test_is_explained(path: tuple[str, ...], command: Any) -> None:
    texts = {" ".join(path): command.help}
    texts |= {each.name: each.help for each in command.params if each.name not in BUILT_IN}
    for name, text in texts.items():
        assert text, f"{name} has no help"
        assert text.strip().endswith((".", "…")), f"{name}: {text}"
        assert not OTHER_TERMS.search(text), f"{name}: {text}"
        for sentence in re.split(r"(?<=[.;:])\s", text):
            assert len(sentence.split()) <= 25, f"{name}: {sentence}"
    if path:
        # the list of commands shows one line of each, and cuts what is longer
        assert not command.get_short_help_str(limit=61).endswith("..."), command.help


def test_stands_in_the_command_reference() -> None:
    specification = importlib.util.spec_from_file_location("command_page", ROOT / "docs" / "command_page.py")
    assert specification is not None
    assert specification.loader is not None
    page = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(page)
    reference = page.on_page_markdown(page.MARKER)
    for path, command in COMMANDS[1:]:
        name = " ".join(("crl-qdrant", *path))
        assert f"`{name}`" in reference, name
        section = reference.split(f"`{name}`", 1)[1].split("\n## ")[0]
        for each in command.params:
            if each.param_type_name == "option" and each.name not in BUILT_IN:
                assert all(option in section for option in each.opts), f"{name} {each.opts}"
