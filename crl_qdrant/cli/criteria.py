"""`crl-qdrant criteria …` and `crl-qdrant materialize`: the criteria of a collection."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crl_qdrant.cli.options import AsJson, Collection, Device, Location, open_collection, print_json
from crl_qdrant.errors import CriterionError

__all__ = ["app", "materialize"]

app = typer.Typer(help="Define, list and show criteria.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The criterion's name.")]


@app.command("add")
def add(
    name: Name,
    words: Annotated[list[str] | None, typer.Argument(help="Its words.")] = None,
    words_file: Annotated[Path | None, typer.Option(help="A text file with one word or phrase on each line.")] = None,
    prompt: Annotated[str, typer.Option(help="The sentence a word is embedded in; {} stands for the word.")] = "",
    weighting: Annotated[float, typer.Option(help="Exponent of the singular values; 1 is the paper.")] = 1.0,
    center: Annotated[bool, typer.Option(help="Take the mean of the words' embeddings out first.")] = False,
    energy: Annotated[float, typer.Option(help="Share of the squared singular values to keep.")] = 1.0,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
) -> None:
    """Define a criterion by its words."""
    from crl_qdrant import Criterion

    given = list(words or [])
    if words_file is not None:
        try:
            lines = words_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CriterionError(f"{words_file} cannot be read: {error}") from error
        given += [line.strip() for line in lines if line.strip()]
    criterion = Criterion(name, given, prompt=prompt, weighting=weighting, center=center, energy=energy)
    with open_collection(collection, location, device) as products:
        products.define(criterion)
    typer.echo(f"criterion {name}: {len(criterion.words)} words")


@app.command("list")
def list_criteria(location: Location = "./data", collection: Collection = "products", as_json: AsJson = False) -> None:
    """List the collection's criteria."""
    with open_collection(collection, location) as products:
        criteria = products.info().criteria
    if as_json:
        print_json([asdict(each) for each in criteria])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("criterion", "words", "dimensions", "state", "points")
    for each in criteria:
        table.add_row(each.name, str(len(each.words)), str(each.rank), each.state.value, str(each.points))
    Console().print(table)


@app.command("show")
def show(
    name: Name, location: Location = "./data", collection: Collection = "products", as_json: AsJson = False
) -> None:
    """Show one criterion's words and prompt."""
    with open_collection(collection, location) as products:
        criterion = products.criterion(name)
    if as_json:
        print_json({key: value for key, value in criterion.to_dict().items() if key != "embeddings"})
        return
    typer.echo(f"{criterion.name}: {len(criterion.words)} words in the prompt “{criterion.prompt}”")
    typer.echo(", ".join(criterion.words))


@app.command("drop")
def drop(name: Name, location: Location = "./data", collection: Collection = "products") -> None:
    """Forget a criterion and remove its named vector."""
    with open_collection(collection, location) as products:
        products.drop_criterion(name)
    typer.echo(f"criterion {name} dropped")


def materialize(
    name: Name,
    location: Location = "./data",
    collection: Collection = "products",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write a criterion's named vector, for fast search. Stopped at any time and run again, it goes on where it was."""
    with open_collection(collection, location, device) as products:
        written = products.materialize(name)
        products.optimize()
    if as_json:
        print_json({"criterion": name, "written": written})
    else:
        typer.echo(f"criterion {name}: {written} points written")
