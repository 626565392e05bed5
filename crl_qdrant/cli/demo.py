"""`crl-qdrant demo`: see what the package does, without data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crl_qdrant.cli.options import AsJson, Device
from crl_qdrant.cli.output import print_json, print_table, say

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("crl-demo"),
    products: Annotated[int, typer.Option(min=100, help="How many products to render.")] = 2000,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Render a catalogue and compare plain search with criteria.

    The page it writes shows both, image by image.
    """
    from crl_qdrant.demo.run import run_demo

    result = run_demo(out, number=products, device=device)
    if as_json:
        measured = {name: {"raw": raw, "conditional": mine} for name, (raw, mine) in result.precision.items()}
        print_json({"mAP": measured, "page": str(result.page)})
        return
    rows = [(name, f"{raw:.3f}", f"{conditional:.3f}") for name, (raw, conditional) in result.precision.items()]
    print_table(("criterion", "mAP, plain search", "mAP, by criterion"), rows)
    say(f"Open {result.page} in a browser to see it.")
