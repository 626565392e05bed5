"""Printing of lines, tables and JSON; nothing printed can steer the terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

__all__ = ["make_visible", "print_json", "print_table", "say", "warn"]

_LINE_ENDS: Final = "\t\n"
# C0 and C1 controls, marks that turn the writing direction, line separators, half characters (bytes that were no
# UTF-8) and characters without a shape: a terminal obeys them, or shows a text otherwise than it is
_STEERING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_NO_WIDTH: Final = 10_000  # of a pipe: what reads it has no width, so nothing is cut


def make_visible(text: str, *, keep: str = "") -> str:
    r"""`text` with characters that steer a terminal written as codes: ESC becomes "\x1b".

    Args:
        text: any text, such as a product's title or a key.
        keep: characters that stay as they are.
    """
    return _STEERING.sub(lambda found: found[0] if found[0] in keep else _code(found[0]), text)


def say(line: object) -> None:
    """Print one line to standard output."""
    sys.stdout.write(make_visible(str(line)) + "\n")


def warn(line: object) -> None:
    """Print one line to standard error."""
    sys.stderr.write(make_visible(str(line)) + "\n")


def print_json(value: Any) -> None:
    """Print one JSON document to standard output; dates and enums become texts."""
    document = json.dumps(value, ensure_ascii=False, default=str, indent=2)
    # inside JSON's texts the codes are escapes, which its readers turn into the characters again
    sys.stdout.write(_STEERING.sub(lambda found: _json_code(found[0]), document) + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table to standard output; what looks like markup in a cell is printed as it is."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise  # rich would end the process; the program says how it ends

    def cell(value: object) -> Text:
        return Text(make_visible(str(value), keep=_LINE_ENDS))

    columns = [Column(header=cell(heading)) for heading in headings]
    table = Table(*columns, title=None if title is None else cell(title), title_justify="left")
    for row in rows:
        table.add_row(*map(cell, row))
    Output(width=None if sys.stdout.isatty() else _NO_WIDTH).print(table)


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"


def _json_code(character: str) -> str:
    return character if character in _LINE_ENDS else json.dumps(character)[1:-1]
