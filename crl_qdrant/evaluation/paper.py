"""The paper's own figures (arXiv 2510.04564), to be printed beside those measured here.

Clustering and few-shot: CLIP ViT-B/32. GeneCIS and DeepFashion: CLIP ViT-B/16; a star is for fine-tuned weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["SOURCE", "paper_figure"]

SOURCE: Final = (
    "Conditional Representation Learning, NeurIPS 2025, arXiv 2510.04564: CLIP ViT-B/32 for clustering and few-shot, "
    "ViT-B/16 for GeneCIS and DeepFashion"
)

_CLUSTERING: Final = ("NMI", "ACC", "ARI")
_SHOTS: Final = ("1 shot", "5 shots", "10 shots")
_RECALL: Final = ("R@1", "R@2", "R@3")

# table -> measures, and (row's name, method) -> figures in percent, in the measures' order
_FIGURES: Final[Mapping[str, tuple[tuple[str, ...], Mapping[tuple[str, str], tuple[float, ...]]]]] = {
    "Clevr4-10k: clustering": (
        _CLUSTERING,
        {
            ("texture", "raw"): (1.11, 13.09, 0.41),
            ("texture", "CRL"): (10.74, 25.11, 6.35),
            ("shape", "raw"): (74.22, 73.19, 64.15),
            ("shape", "CRL"): (78.69, 83.05, 72.42),
            ("color", "raw"): (0.83, 12.23, 0.27),
            ("color", "CRL"): (88.67, 88.05, 82.30),
            ("count", "raw"): (9.50, 19.02, 5.70),
            ("count", "CRL"): (25.57, 26.24, 12.54),
        },
    ),
    "Cards: clustering": (
        _CLUSTERING,
        {
            ("number", "raw"): (16.84, 18.91, 8.44),
            ("number", "CRL"): (24.79, 28.19, 12.14),
            ("suits", "raw"): (16.52, 43.74, 12.93),
            ("suits", "CRL"): (39.71, 67.15, 37.59),
        },
    ),
    "Clevr4-10k: few-shot": (
        _SHOTS,
        {
            ("texture", "raw"): (17.46, 29.39, 36.26),
            ("texture", "CRL"): (18.76, 35.54, 45.54),
            ("shape", "raw"): (58.16, 83.17, 89.47),
            ("shape", "CRL"): (58.67, 86.61, 92.29),
            ("color", "raw"): (26.85, 57.33, 70.00),
            ("color", "CRL"): (65.28, 88.89, 93.08),
            ("count", "raw"): (17.50, 23.43, 25.45),
            ("count", "CRL"): (23.38, 29.59, 32.40),
        },
    ),
    "Cards: few-shot": (
        _SHOTS,
        {
            ("number", "raw"): (20.63, 33.73, 41.84),
            ("number", "CRL"): (17.66, 44.52, 51.09),
            ("suits", "raw"): (37.65, 56.36, 65.98),
            ("suits", "CRL"): (37.10, 67.16, 72.64),
        },
    ),
    "GeneCIS: conditional similarity": (
        _RECALL,
        {
            ("focus", "CRL"): (15.4, 26.7, 35.8),
            ("focus", "CRL*"): (19.7, 32.7, 41.3),
            ("focus", "Combiner"): (16.6,),
            ("change", "CRL"): (17.0, 27.8, 37.8),
            ("change", "CRL*"): (21.0, 35.9, 44.8),
            ("change", "Combiner"): (18.0,),
        },
    ),
    "DeepFashion: retrieval by attribute": (
        ("mAP",),
        {
            ("texture", "raw"): (9.14,),
            ("texture", "CRL"): (11.03,),
            ("texture", "CRL, trained"): (16.88,),
            ("fabric", "raw"): (4.68,),
            ("fabric", "CRL"): (6.76,),
            ("fabric", "CRL, trained"): (9.31,),
            ("shape", "raw"): (7.86,),
            ("shape", "CRL"): (11.80,),
            ("shape", "CRL, trained"): (16.98,),
            ("part", "raw"): (4.26,),
            ("part", "CRL"): (5.56,),
            ("part", "CRL, trained"): (7.54,),
            ("style", "raw"): (4.48,),
            ("style", "CRL"): (4.42,),
            ("style", "CRL, trained"): (5.95,),
            ("all", "raw"): (6.08,),
            ("all", "CRL"): (7.93,),
            ("all", "CRL, trained"): (11.33,),
        },
    ),
}


def paper_figure(table: str, name: str, method: str, measure: str) -> float | None:
    """The paper's figure for a cell, in percent; None where it prints none."""
    measures, rows = _FIGURES.get(table, ((), {}))
    # some rows have the first measures only
    return dict(zip(measures, rows.get((name, method), ()), strict=False)).get(measure)
