"""A report's plots, each as an SVG that stands on its own."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from crl_qdrant.evaluation.extra import evaluation_packages
from crl_qdrant.evaluation.tables import Confusion, Table

__all__ = ["bars", "confusions", "seeds"]

_COLOURS: Final = {"raw": "#9aa3af", "raw, standardised": "#c9b458", "CRL": "#1f6fb2"}
_OTHER: Final = ("#c8ced6", "#b9c6b0", "#d8b9a6")  # methods that only one benchmark has


def bars(table: Table) -> str:
    """The table's first measure that has figures, in percent: a bar for each criterion and method; SVG."""
    measure = _measure(table)
    names, methods = (list(dict.fromkeys(getattr(row, part) for row in table.rows)) for part in ("name", "method"))
    figure, (axes,) = _panels(1, width=max(4.0, 0.35 * len(names) * (len(methods) + 1.5)))
    width = 0.8 / len(methods)
    for number, method in enumerate(methods):
        rows = [row for row in table.rows if row.method == method and measure in row.scores]
        axes.bar(
            [names.index(row.name) + (number - (len(methods) - 1) / 2) * width for row in rows],
            [100 * row.scores[measure].mean for row in rows],
            width,
            label=method,
            color=_COLOURS.get(method, _OTHER[number % len(_OTHER)]),
        )
    axes.set_xticks(range(len(names)), names)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel(f"{measure}, %")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return _svg(figure)


def seeds(table: Table) -> str:
    """The table's first measure for every seed, in percent, a dot each; SVG."""
    measure = _measure(table)
    rows = [row for row in table.rows if measure in row.scores]
    figure, (axes,) = _panels(1, width=max(4.0, 0.8 * len(rows)))
    for number, row in enumerate(rows):
        values = [100 * value for value in row.scores[measure].values]
        spread = number + np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else [number]
        axes.plot(spread, values, "o", markersize=3, color=_COLOURS.get(row.method, _OTHER[0]))
    axes.set_xticks(range(len(rows)), [f"{row.name}\n{row.method}" for row in rows], fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel(f"{measure} of each seed, %")
    return _svg(figure)


def confusions(found: Sequence[Confusion]) -> str:
    """Shares of each class by cluster, one panel for each method of a criterion; SVG."""
    figure, panels = _panels(len(found), width=4.2 * len(found), height=3.8)
    for axes, each in zip(panels, found, strict=True):
        shares = each.counts / each.counts.sum(axis=1, keepdims=True)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_yticks(range(len(each.classes)), each.classes, fontsize=7)
        axes.set_xticks([])
        axes.set_xlabel("clusters, in their classes' order", fontsize=8)
        axes.set_title(f"{each.name}, {each.method}", fontsize=9)
    return _svg(figure)


def _measure(table: Table) -> str:
    return next((each for each in table.measures if any(each in row.scores for row in table.rows)), table.measures[0])


def _panels(number: int, *, width: float, height: float = 2.8) -> tuple[Any, list[Any]]:
    with evaluation_packages():
        from matplotlib.figure import Figure

    # a Figure of its own: pyplot would keep every one and look for a display
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, number, squeeze=False)[0])


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
