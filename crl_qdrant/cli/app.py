"""The commands of `crl-qdrant`. Each imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from crl_qdrant import __version__
from crl_qdrant.cli import criteria, delete, demo, evaluate, info, ingest, insight, migrate, search, tasks
from crl_qdrant.cli.main import main
from crl_qdrant.cli.output import say

__all__ = ["app", "main"]

app = typer.Typer(
    name="crl-qdrant",
    help="Conditional visual search for Qdrant: find what is alike in one respect, such as fabric.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich's boxes leave half of 80 columns to the text
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
        say(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="CRL_DEBUG", help="Print the traceback of an error.")
    ] = False,  # read by `main`, for errors before this is called
) -> None:
    """Conditional visual search for Qdrant: find what is alike in one respect, such as fabric."""
