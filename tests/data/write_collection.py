"""Writes a small collection and what it answers, to be opened by later versions: run it with the version to keep.

python tests/data/write_collection.py FOLDER; the folder gets collection.tar.xz and expected.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from crl_qdrant import __version__, Criterion, CRLCollection

NUMBER, DIMENSION = 40, 8
RNG = np.random.default_rng(10)
NAMES = ("fabric", "colour", "style", "Länge", "cut")


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def main(folder: Path) -> None:
    groups = RNG.integers(0, 4, NUMBER)
    rows = unit(RNG.normal(size=(4, DIMENSION))[groups] + 0.6 * RNG.normal(size=(NUMBER, DIMENSION)))
    texts = {name: unit(RNG.normal(size=(5, DIMENSION)) + 0.3) for name in NAMES}
    payloads = [{"group": f"g{group}", "price": float(number)} for number, group in enumerate(groups)]
    with tempfile.TemporaryDirectory() as location:
        products = CRLCollection.create("products", location=location, dimension=DIMENSION, device="cpu")
        products.add(range(30), embeddings=rows[:30], payloads=payloads[:30])
        options: dict[str, dict[str, Any]] = {
            "fabric": {},
            "Länge": {"suppress": ["colour"], "suppress_rank": 1},
        }
        for name in NAMES:
            chosen = options.get(name, {"preset": "paper"})
            products.define(Criterion(name, list("abcde"), embeddings=texts[name], **chosen))
        products.train_head("cut", "group", out=4, hidden=4, epochs=3, validation=0.3, progress=False)
        products.materialize("fabric", "style", "Länge", "cut", progress=False)
        products.define(Criterion("style", list("abcd"), embeddings=texts["style"][:4], preset="paper"))
        products.add(range(30, 40), embeddings=rows[30:], payloads=payloads[30:])
        products.delete([3, 33])
        expected = {
            "version": __version__,
            "query": rows[0].tolist(),
            "points": products.count(),
            "hits": {
                name or "image": [
                    [hit.id, hit.score, hit.payload and hit.payload["group"]]
                    for hit in products.search(embedding=rows[0], criterion=name, limit=8)
                ]
                for name in (None, *NAMES)
            },
            "criteria": {
                each.name: {
                    "status": each.status,
                    "vector": each.vector,
                    "rank": each.rank,
                    "fingerprint": each.fingerprint,
                    "words": list(each.words),
                    "points": each.points,
                }
                for each in products.info().criteria
            },
        }
        products.close()
        # the engine's files are mostly holes
        archive = folder / "collection.tar.xz"
        subprocess.run(["tar", "--sparse", "--owner=0", "--group=0", "-cJf", archive, "-C", location, "."], check=True)
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
