"""`crl-qdrant criteria …` and `crl-qdrant materialize`: manage the criteria of a collection."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from crl_qdrant.cli.options import (
    AsJson,
    Collection,
    describe_points,
    Device,
    Location,
    open_collection,
    say_if_pending,
)
from crl_qdrant.cli.output import print_json, print_table, say, warn
from crl_qdrant.errors import CriterionError

__all__ = ["app", "materialize"]

# `projection.options` has them, which loads NumPy: too much for a help
PRESETS: Final = (
    "default, paper, centred, orthonormal, pseudo-inverse, compact, tangent, purified, suppressed, suppressed-both, "
    "default-0.1"
)

app = typer.Typer(help="Define, inspect and compare criteria; tag items by them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the criterion.")]


@app.command("add")
def add(
    name: Name,
    words: Annotated[
        list[str] | None, typer.Argument(help="Its words. Without any: those it has, or a packaged list.")
    ] = None,
    words_file: Annotated[Path | None, typer.Option(help="A text file with one word or phrase on each line.")] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask a language model for the words (needs ANTHROPIC_API_KEY).")
    ] = False,
    domain: Annotated[str | None, typer.Option(help="Kind of objects, such as shoes, for the language model.")] = None,
    n_words: Annotated[int | None, typer.Option(help="How many words to take from a list or language model.")] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="Sentence to embed a word in, with {} for the word. Repeat for several.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help=f"Options to start from: {PRESETS}.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="NAME=VALUE",
            help="One option, such as sharpen=0.5 or suppress=fabric,cut. Repeat for several.",
        ),
    ] = None,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
) -> None:
    """Define a criterion by words, or change it.

    Changing a materialized criterion does not affect searches until materialize runs.
    """
    given = [*(words or []), *(() if words_file is None else _read_words(words_file))]
    if ask and given:
        raise CriterionError("give either words or --ask, not both")
    with open_collection(collection, location, device) as products:
        keeps_words = name in products.criteria and not given and not ask
        kept = products.define(
            name,
            _ask_model if ask else given or None,
            prompt=prompt or "",
            domain=domain,
            n_words=n_words,
            anew=ask,
            preset=preset,
            **dict(map(_option, option or [])),
        )
        say(f"criterion {name}: {len(kept.words)} words")
        if keeps_words and (n_words is not None or domain is not None):
            warn("the criterion keeps its words; give others, use --ask, or drop the criterion first")
        say_if_pending(products, name, location)


def _read_words(path: Path) -> list[str]:
    """Read a text file with one word on each line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CriterionError(f"{path} cannot be read: {error}") from error
    words = [line.strip() for line in lines if line.strip()]
    if not words:
        raise CriterionError(f"{path} has no words; write one on each line, or leave --words-file out")
    return words


def _ask_model(name: str, *, n_words: int | None = None, domain: str | None = None) -> list[str]:
    """Ask a language model, which is made only when everything else is in order."""
    from crl_qdrant import LanguageModel

    return LanguageModel()(name, n_words=n_words, domain=domain)


def _option(text: str) -> tuple[str, Any]:
    """Split "sharpen=0.5" into name and value: the value as JSON where it is that, else a text."""
    from crl_qdrant.projection.options import check_names

    name, found, value = text.partition("=")
    if not found:
        raise CriterionError(f"--option must be NAME=VALUE, got {text!r}")
    check_names([name])
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value.split(",") if name == "suppress" and value != "others" else value


@app.command("list")
def list_criteria(location: Location = "./data", collection: Collection = "products", as_json: AsJson = False) -> None:
    """List the collection's criteria."""
    with open_collection(collection, location) as products:
        content = products.info()
    if as_json:
        print_json([asdict(each) for each in content.criteria])
        return
    rows = [
        (each.name, len(each.words), each.rank, each.status, describe_points(each, content.points))
        for each in content.criteria
    ]
    print_table(("criterion", "words", "dimensions", "state", "points"), rows)


@app.command("packaged")
def packaged() -> None:
    """List the criteria whose words come with this package."""
    from crl_qdrant import packaged_names

    for name in packaged_names():
        say(name)


@app.command("show")
def show(
    name: Name, location: Location = "./data", collection: Collection = "products", as_json: AsJson = False
) -> None:
    """Show the words, prompts and options of a criterion."""
    with open_collection(collection, location) as products:
        criterion = products.criterion(name)
    if as_json:
        print_json({key: value for key, value in criterion.to_dict().items() if key != "embeddings"})
        return
    prompts = ", ".join(f"“{prompt}”" for prompt in criterion.prompts)
    say(f"{criterion.name}: {len(criterion.words)} words in {prompts}")
    say(str(criterion.options))
    say(", ".join(criterion.words))


@app.command("rename")
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(help="The new name.")],
    location: Location = "./data",
    collection: Collection = "products",
) -> None:
    """Rename a criterion; nothing is written to the points."""
    with open_collection(collection, location) as products:
        products.rename_criterion(name, new_name)
    say(f"criterion {name} is now {new_name}")


@app.command("drop")
def drop(name: Name, location: Location = "./data", collection: Collection = "products") -> None:
    """Remove a criterion and its named vector."""
    with open_collection(collection, location) as products:
        products.drop_criterion(name)
    say(f"criterion {name} dropped")


def materialize(
    names: Annotated[list[str], typer.Argument(help="Names of criteria, written in one pass.")],
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write the named vectors of criteria, for fast search.

    An interrupted run resumes. Running it again also fills points that another program wrote.
    """
    with open_collection(collection, location, device) as products:
        written = products.materialize(*names)
        products.optimize()
    if as_json:
        print_json({"criteria": names, "written": written})
    else:
        say(f"{'criterion' if len(names) == 1 else 'criteria'} {', '.join(names)}: {written} points written")
