"""Results of a task: tables of figures, confusions and neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crl_qdrant.evaluation.paper import paper_figure
from crl_qdrant.evaluation.scores import Score

__all__ = ["Confusion", "Neighbours", "Results", "Row", "Table"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the criterion (or half of a benchmark), the method, and its figures by measure."""

    name: str
    method: str
    scores: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the same measures, and the paper's figures for those that it has."""

    title: str
    measures: tuple[str, ...]
    rows: tuple[Row, ...]

    def paper(self, row: Row, measure: str) -> float | None:
        """The paper's figure for a cell, in percent; None where it prints none."""
        return paper_figure(self.title, row.name, row.method, measure)

    @property
    def has_paper(self) -> bool:
        """Whether the paper has a figure for any of the cells."""
        return any(self.paper(row, measure) is not None for row in self.rows for measure in self.measures)

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Headings and lines as texts, in percent as the paper prints them, spread over seeds after "±"."""
        paper = ["paper"] if self.has_paper else []
        headings = ["criterion", "method", *(each for measure in self.measures for each in (measure, *paper))]
        lines = []
        for row in self.rows:
            line = [row.name, row.method]
            for measure in self.measures:
                line.append(_percent(row.scores[measure]) if measure in row.scores else "–")
                if paper:
                    figure = self.paper(row, measure)
                    line.append("" if figure is None else f"{figure:.2f}")
            lines.append(line)
        return headings, lines


@dataclass(frozen=True, slots=True)
class Confusion:
    """Clusters of one run against classes: counts [classes, clusters], each cluster below its matched class."""

    name: str
    method: str
    classes: tuple[str, ...]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A query image and what is nearest to it: files, and whether each agrees with the query in the criterion."""

    name: str
    method: str
    query: Path
    hits: tuple[tuple[Path, bool], ...]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that one command measured."""

    tables: tuple[Table, ...]
    confusions: tuple[Confusion, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()
    notes: tuple[str, ...] = ()


def _percent(score: Score) -> str:
    mean = f"{100 * score.mean:.2f}"
    return f"{mean} ± {100 * score.std:.2f}" if len(score.values) > 1 else mean
