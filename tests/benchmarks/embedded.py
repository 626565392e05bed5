"""Ours beside the bare engine, in one run: 100,000 points of 512 dimensions on Qdrant Edge.

    make bench                                   # or: python tests/benchmarks/embedded.py --points 100000

Prints a Markdown table. Times are medians in milliseconds of calls that take turns, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
import torch

from crl_qdrant import Criterion, CRLCollection, Query
from crl_qdrant.projection.build import build_projection
from crl_qdrant.projection.on_device import conditional_representation, on_device, Projection
from crl_qdrant.projection.options import PRESETS

DIMENSION, WORDS, LIMIT, BATCH = 512, 32, 10, 1000
RNG = np.random.default_rng(0)


def take_turns(*calls: Callable[[int], Any], rounds: int) -> list[float]:
    """Median milliseconds of each call over the rounds, the calls alternating."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(rounds):
        for call, mine in zip(calls, times, strict=True):
            started = time.perf_counter()
            call(number)
            mine.append((time.perf_counter() - started) * 1e3)
    return [float(np.median(each)) for each in times]


def clustered_rows(points: int) -> np.ndarray:
    """Unit embeddings, float32 [points, DIMENSION], in a thousand clusters."""
    centres = RNG.normal(size=(1000, DIMENSION)).astype(np.float32)
    rows = np.empty((points, DIMENSION), dtype=np.float32)
    for start in range(0, points, 50_000):
        part = rows[start : start + 50_000]
        part[:] = centres[RNG.integers(0, 1000, len(part))] + 0.7 * RNG.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def rate(points: int, work: Callable[[], Any]) -> float:
    """Points a second."""
    started = time.perf_counter()
    work()
    return points / (time.perf_counter() - started)


def resident_bytes() -> int:
    """Memory that this process holds, on Linux: not the files that the engine has mapped, nor what was freed."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def bare_shard(folder: Path, rows: np.ndarray) -> tuple[edge.EdgeShard, float]:
    """The engine without us: the same points, written as its documentation has it."""
    vectors = {"image": edge.EdgeVectorParams(size=DIMENSION, distance=edge.Distance.Cosine)}
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=vectors))

    def write() -> None:
        for start in range(0, len(rows), BATCH):
            part = enumerate(rows[start : start + BATCH], start=start)
            points = [edge.Point(n, {"image": row.tolist()}, {"n": n}) for n, row in part]
            shard.update(edge.UpdateOperation.upsert_points(points))

    return shard, rate(len(rows), write)


def bare_search(shard: edge.EdgeShard, vector: list[float]) -> list[tuple[Any, float, Any]]:
    """The engine's own search, its hits read."""
    request = edge.QueryRequest(limit=LIMIT, query=edge.Query.Nearest(vector, using="crl_c0"), with_payload=True)
    return [(point.id, point.score, point.payload) for point in shard.query(request)]


def bare_update(shard: edge.EdgeShard, vectors: np.ndarray, *names: str) -> float:
    """Vectors a second of the engine's own update_vectors, one new named vector after the other."""

    def write() -> None:
        for name in names:
            shard.update(edge.UpdateOperation.create_dense_vector(name, WORDS, edge.Distance.Cosine))
            for start in range(0, len(vectors), BATCH):
                part = enumerate(vectors[start : start + BATCH], start=start)
                updates = [edge.PointVectors(n, {name: vector.tolist()}) for n, vector in part]
                shard.update(edge.UpdateOperation.update_vectors(updates))

    return rate(len(vectors) * len(names), write)


def bare_by_hand(shard: edge.EdgeShard, name: str, projection: Projection, points: int) -> float:
    """Points a second of reading, projecting and updating, as one would write it."""

    def read_project_write() -> None:
        offset: Any = None
        while True:
            request = edge.ScrollRequest(offset=offset, limit=BATCH, with_vector=["image"], with_payload=False)
            page, offset = shard.scroll(request)
            found = np.array([each.vector["image"] for each in page], dtype=np.float32)
            made = conditional_representation(torch.from_numpy(found), projection).tolist()
            updates = [edge.PointVectors(each.id, {name: row}) for each, row in zip(page, made, strict=True)]
            shard.update(edge.UpdateOperation.update_vectors(updates))
            if offset is None:
                return

    return rate(points, read_project_write)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    points = parser.parse_args().points
    rows = clustered_rows(points)
    texts = RNG.normal(size=(WORDS, DIMENSION))
    words = [f"w{number}" for number in range(WORDS)]
    criteria = [Criterion(f"c{n}", words, embeddings=np.roll(texts, n, axis=1), preset="paper") for n in range(6)]
    table = ["| what | ours | bare | ratio |", "|---|---|---|---|"]

    def row(what: str, ours: float, theirs: float, form: str) -> None:
        table.append(f"| {what} | {ours:{form}} | {theirs:{form}} | {ours / theirs:.2f} |")

    with tempfile.TemporaryDirectory() as folder:
        bare, bare_rate = bare_shard(Path(folder) / "bare", rows)
        products = CRLCollection.create("products", location=folder, dimension=DIMENSION)
        add = {"ids": range(points), "embeddings": rows, "payloads": [{"n": n} for n in range(points)]}
        row("add, points/s", rate(points, lambda: products.add(**add, batch_size=BATCH)), bare_rate, ",.0f")
        for criterion in criteria:
            products.define(criterion)

        matrix = torch.from_numpy(rows).half()
        projections = [on_device(build_projection(criterion.embeddings, PRESETS["paper"])) for criterion in criteria]
        representation = conditional_representation(matrix, projections[0])
        before = resident_bytes()
        products.search(embedding=rows[0], criterion="c0")
        used = resident_bytes() - before
        ours, theirs = take_turns(
            lambda n: products.search(embedding=rows[n], criterion="c0", limit=LIMIT, with_payload=False),
            lambda n: torch.topk(representation @ (matrix[n].float() @ projections[0].matrix), LIMIT),
            rounds=200,
        )
        row("scan, warm criterion, ms (bare: matrix-vector product and top-k)", ours, theirs, ".2f")
        options: dict[str, Any] = {"criterion": "c0", "limit": LIMIT, "with_payload": False}
        queries = [Query(embedding=each, **options) for each in rows[:100]]
        ours, theirs = take_turns(
            lambda _: products.search_batch(queries),
            lambda _: [products.search(embedding=each, **options) for each in rows[:100]],
            rounds=15,
        )
        row("scan, search_batch of 100, queries/s (bare: search, one by one)", 1e5 / ours, 1e5 / theirs, ",.0f")
        ours, theirs = take_turns(
            lambda n: products.search(embedding=rows[n], criterion=f"c{n + 1}", limit=LIMIT, with_payload=False),
            lambda n: conditional_representation(matrix, projections[n + 1]),
            rounds=5,
        )
        row("scan, new criterion, ms (bare: the projection)", ours, theirs, ".0f")

        update_rate = bare_update(bare, representation.numpy(), "crl_c0")
        by_hand = bare_by_hand(bare, "crl_c0", projections[0], points)
        our_rate = rate(points, lambda: products.materialize("c0", batch_size=BATCH))
        row("materialize, points/s (bare: scroll, project, update_vectors)", our_rate, by_hand, ",.0f")
        row("materialize, points/s (bare: update_vectors alone)", our_rate, update_rate, ",.0f")
        products.optimize()
        bare.optimize()
        vectors = representation[:1000].tolist()
        ours, theirs = take_turns(
            lambda n: products.search(embedding=rows[n], criterion="c0", limit=LIMIT),
            lambda n: bare_search(bare, vectors[n]),
            rounds=1000,
        )
        row("named vector, ms", ours, theirs, ".2f")
        # what is indexed is written elsewhere when it changes, by both
        our_rate = rate(points, lambda: products.materialize("c1", batch_size=BATCH))
        update_rate = bare_update(bare, representation.numpy(), "crl_c1")
        row("materialize, indexed before, points/s (bare: update_vectors alone)", our_rate, update_rate, ",.0f")
        more = ["c2", "c3", "c4", "c5"]
        our_rate = rate(points * len(more), lambda: products.materialize(*more, batch_size=BATCH))
        update_rate = bare_update(bare, representation.numpy(), *(f"crl_{name}" for name in more))
        row("materialize of four criteria, vectors/s (bare: update_vectors alone)", our_rate, update_rate, ",.0f")
        products.close()
        bare.close()

    print(f"{points:,} x {DIMENSION}, {WORDS} words, {torch.get_num_threads()} threads. Loading the scan took")
    print(f"{used / 1e6:.0f} MB; its embeddings alone are {points * DIMENSION * 2 / 1e6:.0f} MB.\n")
    print("\n".join(table))


if __name__ == "__main__":
    main()
