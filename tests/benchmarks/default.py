"""The default criterion beside plain search and the paper's form, on both halves of the real photos, as Markdown."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from real_words import Half

from crl_qdrant import Options, PRESETS


def row(half: Half, texts: npt.NDArray[np.float64], label: str) -> list[float]:
    """The mAP of each column."""
    ways = [half.by(texts, options) for options in (PRESETS["paper"], PRESETS["default-0.1"], Options())]
    ways += [half.by(texts, Options(dimensions=128)), half.by(texts, Options(), fitted=False)]
    return [half.precision(rows, label) for rows in (half.images, *ways)]


def main() -> None:
    """Print one table for each half."""
    for which in "AB":
        half = Half(which)
        lists = {
            "123 garments": half.garments,
            "all 1,203 names": np.arange(len(half.texts)),
            "1,080 others": half.others,
        }
        print(f"\n| half {which} | raw | paper | default-0.1 | default | 128 floats | before images |")
        print("|---|---|---|---|---|---|---|")
        for title, rows in lists.items():
            for label in ("articleType", "subCategory"):
                print_row(f"{title}, {label}", row(half, half.texts[rows], label))
        fitted = [row(half, texts, name) for name, texts in half.fitted.items()]
        print_row("five fitted criteria, mean", np.mean(fitted, axis=0).tolist())


def print_row(title: str, values: list[float]) -> None:
    """One row of a table."""
    print(f"| {title} | " + " | ".join(f"{value:.1f}" for value in values) + " |", flush=True)


if __name__ == "__main__":
    main()
