"""What one would do by hand, or with another embedded engine, beside ours: 100,000 points, a criterion of 200 words.

    pip install lancedb pymilvus milvus-lite faiss-cpu     # those that are not installed are left out
    python tests/benchmarks/alternatives.py --points 100000

Prints Markdown tables. Times are medians in milliseconds of calls that take turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from embedded import clustered_rows, DIMENSION, LIMIT, take_turns

from crl_qdrant import Criterion, CRLCollection, Query
from crl_qdrant.criteria.registry import StoredCriterion

WORDS, RANK, ROUNDS = 200, 32, 100
M, EF = 16, 100  # of the others' HNSW indexes; ours has the engine's defaults
Way = Callable[[int], Sequence[int]]


def numpy_ways(rows: np.ndarray, texts: np.ndarray) -> dict[str, Way]:
    """R = I Tᵀ as the formula has it, in float32: anew for each query, or kept in memory."""
    texts = texts.astype(np.float32)
    kept = rows @ texts.T
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)

    def best(representation: np.ndarray, number: int) -> list[int]:
        scores = representation @ representation[number]
        found = np.argpartition(-scores, LIMIT)[:LIMIT]
        return [int(each) for each in found]

    def anew(number: int) -> list[int]:
        representation = rows @ texts.T
        representation /= np.linalg.norm(representation, axis=1, keepdims=True)
        return best(representation, number)

    return {"NumPy, R = I Tᵀ for each query": anew, "NumPy, R kept in memory": lambda number: best(kept, number)}


def lance_ways(vectors: np.ndarray, folder: Path) -> dict[str, Way]:
    """A LanceDB table with the projected column, without and with an HNSW index of full precision."""
    import lancedb
    import pyarrow as pa
    from lancedb.index import HnswFlat

    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    content = pa.table({"id": pa.array(range(len(vectors))), "vector": column})
    flat = lancedb.connect(folder / "flat").create_table("points", content)
    indexed = lancedb.connect(folder / "indexed").create_table("points", content)
    indexed.create_index("vector", config=HnswFlat(distance_type="cosine", num_partitions=1, m=M, ef_construction=EF))

    def search(table: Any, number: int) -> list[int]:
        query = table.search(vectors[number]).distance_type("cosine").ef(EF).select(["id", "_distance"])
        return [int(each) for each in query.limit(LIMIT).to_arrow()["id"].to_pylist()]

    return {
        "LanceDB, projected column, flat": lambda number: search(flat, number),
        "LanceDB, projected column, HNSW": lambda number: search(indexed, number),
    }


def milvus_ways(vectors: np.ndarray, folder: Path) -> dict[str, Way]:
    """Milvus-lite with the projected vectors, flushed and loaded, searched exhaustively."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(str(folder / "milvus.db"))
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="COSINE")
    client.create_collection("points", schema=schema, index_params=index)
    for start in range(0, len(vectors), 5000):
        part = enumerate(vectors[start : start + 5000], start=start)
        client.insert("points", [{"id": number, "vector": vector} for number, vector in part])
    client.flush("points")
    client.load_collection("points")

    def search(number: int) -> list[int]:
        found = client.search("points", data=[vectors[number]], limit=LIMIT, output_fields=["id"])
        return [int(each["id"]) for each in found[0]]

    return {"Milvus-lite, projected vectors, flat": search}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    points = parser.parse_args().points
    rng = np.random.default_rng(0)
    rows = clustered_rows(points)
    texts = rng.normal(size=(WORDS, RANK)) @ rng.normal(size=(RANK, DIMENSION))

    with tempfile.TemporaryDirectory() as folder:
        products = CRLCollection.create("products", location=folder, dimension=DIMENSION)
        products.add(range(points), embeddings=rows, batch_size=1000)
        products.define(Criterion("style", [f"word {n}" for n in range(WORDS)], embeddings=texts, preset="paper"))
        products.materialize("style")
        products.optimize()
        stored: StoredCriterion = products._criteria.find("style")
        exact = rows.astype(np.float64) @ stored.projection.matrix
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        vectors = exact.astype(np.float32)

        def ours(strategy: str) -> Way:
            options = {"criterion": "style", "strategy": strategy, "limit": LIMIT, "with_payload": False}
            return lambda number: [int(hit.id) for hit in products.search(embedding=rows[number], **options)]

        ways: dict[str, Way] = {"crl-qdrant, named vector": ours("named"), "crl-qdrant, scan": ours("scan")}
        ways |= numpy_ways(rows, texts / np.linalg.norm(texts, axis=1, keepdims=True))
        for package, make in (("lancedb", lance_ways), ("milvus_lite", milvus_ways)):
            if find_spec(package) is None:
                print(f"{package} is not installed and is left out")
            else:
                ways |= make(vectors, Path(folder))

        recalls = []
        for way in ways.values():
            way(0)  # what is loaded at first use
            found = []
            for number in range(ROUNDS):
                best = np.argpartition(-(exact @ exact[number]), LIMIT)[:LIMIT]
                found.append(len({*way(number)} & {*best.tolist()}) / LIMIT)
            recalls.append(float(np.mean(found)))
        times = take_turns(*ways.values(), rounds=ROUNDS)
        print(f"{points:,} x {DIMENSION}, {WORDS} words of rank {RANK}\n")
        print("| way | p50, ms | recall@10 | times ours, named |\n|---|---|---|---|")
        for name, milliseconds, recall in zip(ways, times, recalls, strict=True):
            print(f"| {name} | {milliseconds:.2f} | {recall:.3f} | {milliseconds / times[0]:.1f} |")

        print("\n| 100 queries | one by one, queries/s | search_batch, queries/s | ratio |\n|---|---|---|---|")
        for strategy in ("scan", "named"):
            queries = [
                Query(embedding=row, criterion="style", strategy=strategy, with_payload=False) for row in rows[:100]
            ]
            single, batch = [], []
            for _ in range(7):
                started = time.perf_counter()
                for row in rows[:100]:
                    products.search(embedding=row, criterion="style", strategy=strategy, with_payload=False)
                single.append(time.perf_counter() - started)
                started = time.perf_counter()
                products.search_batch(queries)
                batch.append(time.perf_counter() - started)
            one, many = 100 / np.median(single), 100 / np.median(batch)
            print(f"| {strategy} | {one:,.0f} | {many:,.0f} | {many / one:.1f} |")
        products.close()


if __name__ == "__main__":
    main()
