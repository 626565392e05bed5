"""Processes that are killed, or kill themselves, at work on a collection."""

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

import operations
from fakes import ColourEncoder, image_of, Newer
from operations import Expected, Operation

from crl_qdrant import CRLCollection, EncoderMismatchError
from crl_qdrant.stores.edge.store import EdgeStore


def processes() -> ForkServerContext:
    """What starts them: they are forked from a process that has imported everything already."""
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed", "crl_qdrant.projection.on_device"])
    return context


def walk(location: Path, log: Path, seed: str, expected: Expected) -> None:
    """Does whatever can be done, in random order, until it is killed; the log tells what is begun and what is done."""
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
    """What a walk has begun, and whether it was done."""
    lines = log.read_text().splitlines() if log.exists() else []
    begun = [json.loads(line) for line in lines if line != "done"]
    done = lines.count("done")
    return [(operation, number < done) for number, operation in enumerate(begun)]


def die(location: Path, operation: Operation, call: str, records: Path) -> None:
    """Begins an operation and kills itself after the store's first call of that name.

    Edge's records of the named vectors, as they were before that call, are left in a file: path -> text.
    """
    carry_out = getattr(EdgeStore, call)

    def last(store: EdgeStore, *arguments: Any) -> None:
        shard = location / "products" / "shard"
        paths = [shard / "edge_config.json", *sorted(shard.glob("segments/*/segment.json"))]
        records.write_text(json.dumps({str(path): path.read_text() for path in paths}))
        carry_out(store, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(EdgeStore, call, last)
    operations.carry_out(CRLCollection.open("products", location=location), operation)


def migrate_and_die(location: Path, call: str, number: int) -> None:
    """Begins to migrate to the other of two encoders, and kills itself after the store's call of that number."""
    carry_out, calls = getattr(EdgeStore, call), list[int]()

    def counted(store: EdgeStore, *arguments: Any) -> None:
        carry_out(store, *arguments)
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(EdgeStore, call, counted)
    products, other = opened(location)
    products.migrate(other, image_of, batch_size=10)


def opened(location: Path) -> tuple[CRLCollection, ColourEncoder]:
    """The collection by whichever encoder it has, and the other one."""
    try:
        return CRLCollection.open("products", location=location, encoder=ColourEncoder()), Newer()
    except EncoderMismatchError:
        return CRLCollection.open("products", location=location, encoder=Newer()), ColourEncoder()
