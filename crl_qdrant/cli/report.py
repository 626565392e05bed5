"""Output of an evaluation: tables on the terminal, and a report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crl_qdrant.cli.output import print_table, say

if TYPE_CHECKING:
    from crl_qdrant import Criterion, Encoder
    from crl_qdrant.evaluation.tables import Results

__all__ = ["report"]


def report(
    title: str,
    results: Results,
    encoder: Encoder,
    criteria: dict[str, Criterion],
    settings: dict[str, str],
    out: Path,
    device: str,
) -> None:
    """Print the tables, and write the report."""
    from crl_qdrant.common.device import choose_device
    from crl_qdrant.evaluation.report import Run, write_report

    words = ", ".join(f"{name} {len(criterion.words)}" for name, criterion in criteria.items())
    options = "; ".join(dict.fromkeys(str(criterion.options) for criterion in criteria.values()))
    shown = {
        "encoder": encoder.name,
        "device": str(choose_device(device)),
        "words": words,
        "options": options,
        **settings,
    }
    page = write_report(results, Run(title, shlex.join(["crl-qdrant", *sys.argv[1:]]), shown), out)
    for table in results.tables:
        headings, rows = table.cells()
        print_table(headings, rows, title=table.title)
    for note in results.notes:
        say(note)
    say(f"Open {page} in a browser to see it.")
