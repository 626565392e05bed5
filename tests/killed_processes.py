"""Processes that work on a collection and are killed, or kill themselves, with signal 9."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import random_operations as operations
from fakes import ColourEncoder, image_of, Newer
from random_operations import Expected, Operation

from crl_qdrant import CRLCollection, EncoderMismatchError
from crl_qdrant.cli.app import main
from crl_qdrant.stores.edge.store import EdgeStore


def processes() -> ForkServerContext:
    """Fork them from a process that has imported everything already."""
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_processes", "crl_qdrant.projection.on_device"])
    return context


def walk(location: Path, log: Path, seed: str, expected: Expected) -> None:
    """Carry out random operations until killed; the log says which were begun and which were done."""
    rng = random.Random(seed)
    said = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    products = CRLCollection.open("products", location=location)
    parent = os.getppid()
    while os.getppid() == parent:  # nobody is left to kill it otherwise
        operation = operations.choose(rng, expected)
        os.write(said, f"{json.dumps(operation)}\n".encode())
        if operation == ["reopen"]:
            products.close()
            products = CRLCollection.open("products", location=location)
        operations.carry_out(products, operation)
        expected = expected.after(operation)
        os.write(said, b"done\n")


def told(log: Path) -> list[tuple[Operation, bool]]:
    """The operations that a walk has begun, and whether each was done."""
    lines = log.read_text().splitlines() if log.exists() else []
    begun = [json.loads(line) for line in lines if line != "done"]
    done = lines.count("done")
    return [(operation, number < done) for number, operation in enumerate(begun)]


def kill_itself_after(call: str, number: int = 1) -> None:
    """Let this process die as soon as the store has made its call of that name and number."""
    carry_out, calls = getattr(EdgeStore, call), list[int]()

    def counted(store: EdgeStore, *arguments: Any, **options: Any) -> Any:
        result = carry_out(store, *arguments, **options)
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(EdgeStore, call, counted)


def die(location: Path, operation: Operation, call: str, records: Path) -> None:
    """Begin an operation and die after the store's first call of that name.

    Edge's records of the named vectors, as they were before that call, are left in a file: path -> text.
    """
    kill_itself_after(call)
    last = getattr(EdgeStore, call)

    def recorded(store: EdgeStore, *arguments: Any) -> None:
        shard = location / "products" / "shard"
        paths = [shard / "edge_config.json", *sorted(shard.glob("segments/*/segment.json"))]
        records.write_text(json.dumps({str(path): path.read_text() for path in paths}))
        last(store, *arguments)

    setattr(EdgeStore, call, recorded)
    operations.carry_out(CRLCollection.open("products", location=location), operation)


def migrate_and_die(location: Path, call: str, number: int) -> None:
    """Begin to migrate to the other of two encoders, and die after the store's call of that number."""
    kill_itself_after(call, number)
    products, other = opened(location)
    products.migrate(other, image_of, batch_size=10)


def run_and_die(folder: Path, arguments: list[str], call: str, number: int) -> None:
    """Run `crl-qdrant` with these arguments in the folder, and die after the store's call of that number."""
    kill_itself_after(call, number)
    os.chdir(folder)
    sys.argv = ["crl-qdrant", *arguments]
    main()


def opened(location: Path) -> tuple[CRLCollection, ColourEncoder]:
    """The collection by whichever encoder it has, and the other one."""
    try:
        return CRLCollection.open("products", location=location, encoder=ColourEncoder()), Newer()
    except EncoderMismatchError:
        return CRLCollection.open("products", location=location, encoder=Newer()), ColourEncoder()
