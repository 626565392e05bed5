"""How time and memory grow with the collection: 10⁴, 10⁵ and 10⁶ points of 512 dimensions on Qdrant Edge.

    python tests/benchmarks/growth.py --largest 1000000 --plot docs/growth.svg     # the plot needs matplotlib

Prints a Markdown table. The index is built up to 10⁵ points; above that named vectors are searched exhaustively here.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from embedded import clustered_rows, DIMENSION, resident_bytes, take_turns, WORDS

from crl_qdrant import Criterion, CRLCollection

COLUMNS = {
    "points": "points",
    "add": "add, s",
    "load": "first scan, s",
    "new": "scan, new criterion, ms",
    "scan": "scan, warm, ms",
    "materialize": "materialize, s",
    "named": "named, ms",
    "memory": "memory of the scan, MB",
}
INDEXED_UP_TO = 100_000


def measure(points: int) -> dict[str, float]:
    """One row of the table."""
    rows = clustered_rows(points)
    texts = np.random.default_rng(1).normal(size=(WORDS, DIMENSION))
    words = [f"w{number}" for number in range(WORDS)]
    queries = rows[:100].copy()
    found: dict[str, float] = {"points": points}
    with tempfile.TemporaryDirectory() as folder:
        products = CRLCollection.create("products", location=folder, dimension=DIMENSION, scan_memory=1 << 34)
        started = time.perf_counter()
        products.add(range(points), embeddings=rows, batch_size=1000)
        found["add"] = time.perf_counter() - started
        del rows  # the largest need the memory
        for number in range(4):
            products.define(Criterion(f"c{number}", words, embeddings=np.roll(texts, number, axis=1), preset="paper"))

        def search(number: int, criterion: str = "c0") -> None:
            products.search(embedding=queries[number], criterion=criterion, with_payload=False)

        before, started = resident_bytes(), time.perf_counter()
        search(0)
        found["load"] = time.perf_counter() - started
        found["memory"] = (resident_bytes() - before) / 1e6
        (found["new"],) = take_turns(lambda n: search(n, f"c{n + 1}"), rounds=3)
        (found["scan"],) = take_turns(search, rounds=50)
        started = time.perf_counter()
        products.materialize("c0")
        found["materialize"] = time.perf_counter() - started
        if points <= INDEXED_UP_TO:
            products.optimize()
        (found["named"],) = take_turns(search, rounds=100)
        products.close()
    return found


def plot(rows: list[dict[str, float]], path: Path) -> None:
    """Time and memory on logarithmic axes."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (times, memory) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    sizes = [row["points"] for row in rows]
    for key, label in (("new", "scan, new criterion"), ("scan", "scan, warm"), ("named", "named vector")):
        times.loglog(sizes, [row[key] for row in rows], marker="o", label=label)
    times.set(xlabel="points", ylabel="ms a search", title="time")
    times.legend()
    memory.loglog(sizes, [row["memory"] for row in rows], marker="o", label="measured")
    memory.loglog(sizes, [size * DIMENSION * 2 / 1e6 for size in sizes], linestyle="--", label="N·d·2 bytes")
    memory.set(xlabel="points", ylabel="MB", title="memory of the scan")
    memory.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    rows = [measure(points) for points in (10_000, 100_000, 1_000_000) if points <= arguments.largest]
    print("| " + " | ".join(COLUMNS.values()) + " |\n|" + "---|" * len(COLUMNS))
    for row in rows:
        cells = [f"{row[key]:,.0f}" if key in ("points", "memory") else f"{row[key]:,.2f}" for key in COLUMNS]
        print("| " + " | ".join(cells) + " |")
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
