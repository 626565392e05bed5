"""All that can be done to a collection, and what the collection then holds."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
from fakes import unit

from crl_qdrant import Criterion, CRLCollection

DIMENSION, NUMBER, GENERATIONS = 16, 2500, 4
NAMES = ("style", "fabric", "cut")
RNG = np.random.default_rng(5)
ROWS = unit(RNG.normal(size=(GENERATIONS, NUMBER, DIMENSION)) + 0.4).astype(np.float32)
"""The embeddings that a point may have: a newer one replaces an older one."""
TEXTS = [unit(RNG.normal(size=(words, DIMENSION))) for words in (4, 6, 4, 5)]
"""The words of a criterion's versions, two of them of the same rank."""
WEIGHTS = {"add": 4, "delete": 1, "define": 4, "materialize": 6, "rename": 1, "drop": 2, "optimize": 1, "reopen": 1}

Operation = list[Any]
"""What is done, and its arguments."""


@dataclass(frozen=True)
class Expected:
    """What a collection holds.

    Attributes:
        points: the generation of each point's embedding.
        served: the version that searches by a criterion go by.
        wanted: the version that they go by once it is materialized.
        built: the criteria that are materialized.
    """

    points: dict[int, int]
    served: dict[str, int]
    wanted: dict[str, int]
    built: frozenset[str]

    def after(self, operation: Operation) -> Expected:
        match operation:
            case ["add", int(start), int(stop), int(generation)]:
                return replace(self, points=self.points | dict.fromkeys(range(start, stop), generation))
            case ["delete", start, stop]:
                return replace(self, points={n: g for n, g in self.points.items() if not start <= n < stop})
            case ["define", name, version]:
                served = self.served if name in self.built else self.served | {name: version}
                return replace(self, served=served, wanted=self.wanted | {name: version})
            case ["materialize", *names]:
                served = self.served | {name: self.wanted[name] for name in names}
                return replace(self, served=served, built=self.built | {*names})
            case ["rename", name, new_name]:
                now = {name: new_name}
                served, wanted = ({now.get(n, n): v for n, v in each.items()} for each in (self.served, self.wanted))
                return Expected(self.points, served, wanted, frozenset(now.get(n, n) for n in self.built))
            case ["drop", name]:
                served, wanted = ({n: v for n, v in each.items() if n != name} for each in (self.served, self.wanted))
                return Expected(self.points, served, wanted, self.built - {name})
        return self

    def during(self, operation: Operation) -> list[Expected]:
        """What may be there when the operation was begun and not done."""
        kind, *names = operation
        # a criterion that is dropped goes in two steps, a version that waits to be materialized first
        waiting = [self.after(["define", *names, self.served[names[0]]])] if kind == "drop" else []
        return [self, *waiting, self.after(operation)]


def collection(location: Path, *first: Operation) -> Expected:
    """A collection of a few segments, one of them already indexed, after these operations."""
    with CRLCollection.create("products", location=location, dimension=DIMENSION):
        pass
    vectors = {"image": edge.EdgeVectorParams(size=DIMENSION, distance=edge.Distance.Cosine)}
    # a threshold in KB, which is in the tens of thousands otherwise
    config = edge.EdgeConfig(vectors=vectors, optimizers=edge.EdgeOptimizersConfig(indexing_threshold=10))
    edge.EdgeShard.load(str(location / "products" / "shard"), config).close()
    expected = Expected({}, {}, {}, frozenset())
    with CRLCollection.open("products", location=location) as products:
        segments: list[Operation] = [["add", 0, 1500, 0], ["optimize"], ["add", 1400, 2000, 1]]
        for operation in (*segments, *first):
            carry_out(products, operation)
            expected = expected.after(operation)
    return expected


def criterion(name: str, version: int) -> Criterion:
    texts = TEXTS[version]
    return Criterion(name, [f"{version}-{word}" for word in range(len(texts))], embeddings=texts, preset="paper")


def choose(rng: random.Random, expected: Expected) -> Operation:
    """Something that can be done to such a collection."""
    there = sorted(expected.served)
    free = [name for name in NAMES if name not in there]
    start = rng.randrange(NUMBER - 300)
    possible: dict[str, Operation] = {
        "add": ["add", start, start + rng.randrange(20, 300), rng.randrange(GENERATIONS)],
        "delete": ["delete", start, start + rng.randrange(1, 60)],
        "define": ["define", rng.choice(NAMES), rng.randrange(len(TEXTS))],
        "optimize": ["optimize"],
        "reopen": ["reopen"],
    }
    if there:
        together = rng.sample(there, rng.randint(1, len(there)))
        possible |= {"materialize": ["materialize", *together], "drop": ["drop", rng.choice(there)]}
    if there and free:
        possible["rename"] = ["rename", rng.choice(there), rng.choice(free)]
    kinds = list(possible)
    return possible[rng.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]]


def carry_out(products: CRLCollection, operation: Operation) -> None:
    match operation:
        case ["add", start, stop, generation]:
            payloads = [{"generation": generation}] * (stop - start)
            report = products.add(range(start, stop), embeddings=ROWS[generation, start:stop], payloads=payloads)
            assert report.written == stop - start
        case ["delete", start, stop]:
            products.delete(range(start, stop))
        case ["define", name, version]:
            products.define(criterion(name, version))
        case ["materialize", *names]:
            products.materialize(*names, batch_size=256)
        case ["rename", name, new_name]:
            products.rename_criterion(name, new_name)
        case ["drop", name]:
            products.drop_criterion(name)
        case ["optimize"]:
            products.optimize()
