"""A hook of mkdocs: fills commands.md with what typer says of every command and option."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

MARKER = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marker by the documentation that typer writes."""
    if MARKER not in markdown:
        return markdown
    command = [sys.executable, "-m", "typer", "crl_qdrant.cli.app", "utils", "docs", "--name", "crl-qdrant"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # every second part between backticks is code; elsewhere <model> is text and no HTML
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return markdown.replace(MARKER, "`".join(parts).partition("\n")[2])
