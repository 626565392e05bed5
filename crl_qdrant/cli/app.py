"""The program `crl-qdrant`. Commands import what they need when they run, so that --help is quick."""

from __future__ import annotations

import io
import logging
import sys
from typing import Annotated, Final, NoReturn

import typer

from crl_qdrant import __version__
from crl_qdrant.cli import criteria, delete, demo, evaluate, info, ingest, insight, migrate, search, tasks
from crl_qdrant.errors import CRLError

__all__ = ["app", "main"]

_INTERRUPTED: Final = 130  # the exit status that shells give a program that Ctrl-C ended

app = typer.Typer(
    name="crl-qdrant",
    help="Conditional visual search for Qdrant: alike in one respect, not overall.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("ingest")(ingest.ingest)
app.command("delete")(delete.delete)
app.command("search")(search.search)
criteria.app.command("inspect")(insight.inspect)
criteria.app.command("tag")(insight.tag)
criteria.app.command("ablate")(insight.ablate)
app.add_typer(criteria.app, name="criteria")
app.command("materialize")(criteria.materialize)
app.command("migrate")(migrate.migrate)
app.command("cluster")(tasks.cluster)
app.command("few-shot")(tasks.few_shot)
app.command("train-head")(tasks.train_head)
app.command("info")(info.info)
app.add_typer(evaluate.app, name="eval")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Conditional visual search for Qdrant: alike in one respect, not overall."""


def main() -> None:
    """Run the program; an error of ours is one line on standard error and exit status 1, Ctrl-C is 130."""
    # rejected items are printed one by one; the library's warning of them would say it twice
    logging.getLogger("crl_qdrant").addHandler(logging.NullHandler())
    logging.getLogger("crl_qdrant").propagate = False  # some packages give the root logger a handler
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # letters that a terminal or pipe lacks are written as codes
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except CRLError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        _stop()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            _stop()
        raise


def _stop() -> NoReturn:
    typer.echo("stopped; what was written stays, and the same command goes on from there", err=True)
    sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
