"""One progress bar for everything long: on the terminal where there is one, silent otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Advance", "progress_bar"]


class Advance(Protocol):
    """Advances a bar by a number of items, and tells it the total where that is known by then."""

    def __call__(self, items: int, total: int | None = None) -> None:
        """Advance the bar."""


@contextmanager
def progress_bar(description: str, *, total: int | None = None, show: bool | None = None) -> Iterator[Advance]:
    """A bar on standard error; yields the function that advances it.

    Args:
        description: of the work, a few words.
        total: items in all; None where that is not known.
        show: None shows the bar where standard error is a terminal.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total)

        def advance(items: int, total: int | None = None) -> None:
            bar.update(task, advance=items, total=total)  # a total of None leaves it as it is

        yield advance


def _nothing(items: int, total: int | None = None) -> None:
    """Stand for a bar where none is shown."""
