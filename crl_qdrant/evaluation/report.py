"""The page that a run leaves: what was measured, on what, and the command that measures it again."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import jinja2

from crl_qdrant import __version__
from crl_qdrant.common.images import data_url
from crl_qdrant.errors import StoreError
from crl_qdrant.evaluation.paper import SOURCE
from crl_qdrant.evaluation.plots import bars, confusions, seeds
from crl_qdrant.evaluation.tables import Confusion, Results

__all__ = ["Run", "versions", "write_report"]

_PACKAGES: Final = ("numpy", "torch", "scikit-learn", "scipy", "open_clip_torch", "transformers", "pillow")
_SIDE: Final = 88  # pixels of a neighbour's image


@dataclass(frozen=True, slots=True)
class Run:
    """A run's data set, command and settings.

    Attributes:
        title: the data set.
        command: as it was typed.
        settings: name -> value, in the order in which they are shown: encoder, device, seeds, data, words, options.
    """

    title: str
    command: str
    settings: Mapping[str, str]


def write_report(results: Results, run: Run, out: Path) -> Path:
    """Write `report.md` (tables) and `report.html` (with plots and pictures, in one file); returns the latter.

    Raises:
        StoreError: if the folder cannot be written.
        MissingPackageError: if matplotlib is not installed.
    """
    content: dict[str, Any] = {
        "run": run,
        "results": results,
        "versions": versions(),
        "paper": SOURCE if any(table.has_paper for table in results.tables) else "",
    }
    plots = [{"bars": bars(table), "seeds": seeds(table) if _has_seeds(table.rows) else ""} for table in results.tables]
    pages = {
        "report.md": _render("report.md.jinja", escape=False, **content),
        "report.html": _render(
            "report.html.jinja",
            escape=True,
            plots=plots,
            confusions=[confusions(list(each)) for _, each in groupby(results.confusions, key=_criterion)],
            neighbours=[
                {
                    "row": each,
                    "query": data_url(each.query, side=_SIDE),
                    "hits": [(data_url(path, side=_SIDE), right) for path, right in each.hits],
                }
                for each in results.neighbours
            ],
            **content,
        ),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the report cannot be written to {out}: {error}") from error
    return out / "report.html"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures depend on, those that are installed."""
    found = {"Python": platform.python_version(), "crl-qdrant": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _render(template: str, *, escape: bool, **content: Any) -> str:
    loader = jinja2.PackageLoader("crl_qdrant.evaluation", "")
    environment = jinja2.Environment(loader=loader, autoescape=escape, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(**content)


def _has_seeds(rows: Iterable[Any]) -> bool:
    return any(len(score.values) > 1 for row in rows for score in row.scores.values())


def _criterion(confusion: Confusion) -> str:
    return confusion.name
