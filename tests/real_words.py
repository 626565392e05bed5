"""Real photos with real text embeddings, in two halves: options were chosen on A, and are checked on B."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fakes import unit

from crl_qdrant import Options
from crl_qdrant.analysis.average_precision import mean_average_precision
from crl_qdrant.projection.build import build_projection

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


class Half:
    """500 of the 1,000 photos with their labels, and the names of 1,203 objects.

    Args:
        which: "A" or "B", of a split with a fixed seed.
    """

    def __init__(self, which: str) -> None:
        catalog, words = SHARED / "fashion-catalog", SHARED / "clip-text"
        half = np.sort(np.split(np.random.default_rng(0).permutation(1000), 2)["AB".index(which)])
        self.images = unit(np.load(catalog / "embeddings.npy"))[half]
        texts = np.load(catalog / "criterion_embeddings.npz")
        self.fitted = {name: unit(texts[name]) for name in texts.files}
        ids = json.loads((catalog / "ids.json").read_text(encoding="utf-8"))
        with (catalog / "catalog.csv").open(encoding="utf-8") as file:
            items = {int(row["id"]): row for row in csv.DictReader(file)}
        chosen = [items[int(ids[at])] for at in half]
        self.labels = {name: [item[name] for item in chosen] for name in [*self.fitted, "subCategory"]}
        known = json.loads((words / "lvis.json").read_text(encoding="utf-8"))
        self.texts = unit(np.load(words / "lvis.npy").astype(np.float64))
        fashionable = set(known["garments_and_accessories"])
        self.garments = np.array([at for at, name in enumerate(known["names"]) if name in fashionable])
        self.others = np.array([at for at, name in enumerate(known["names"]) if name not in fashionable])

    def precision(self, rows: npt.NDArray[np.floating], label: str) -> float:
        """Leave-one-out mAP x 100, of the photos that have a label."""
        labels = self.labels[label]
        having = [at for at, each in enumerate(labels) if each]
        return 100 * mean_average_precision(rows[having].astype(np.float32), [labels[at] for at in having])

    def by(self, texts: npt.NDArray[np.float64], options: Options, *, fitted: bool = True) -> npt.NDArray[np.float64]:
        """Representations of the photos, by a criterion defined with them in the collection or before."""
        return build_projection(texts, options, images=self.images if fitted else None).represent(self.images)
