"""Clevr4-10k: rendered scenes with a texture, a shape, a colour and a count (Vaze et al., 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from crl_qdrant.errors import DatasetError
from crl_qdrant.evaluation.datasets.files import few, read_json, require, require_images
from crl_qdrant.evaluation.datasets.labelled import LabelledImages

__all__ = ["CLEVR4_IMAGES", "CLEVR4_PROMPTS", "load_clevr4"]

CLEVR4_IMAGES: Final = 10_531
"""Images of the published set."""

CLEVR4_PROMPTS: Final = {
    criterion: f"objects with the {criterion} of {{}}" for criterion in ("texture", "shape", "color", "count")
}

_VALUES: Final = {
    "texture": ["rubber", "metal", "checkered", "emojis", "wave", "brick", "star", "circles", "zigzag", "chessboard"],
    "shape": ["cube", "sphere", "monkey", "cone", "torus", "star", "teapot", "diamond", "gear", "cylinder"],
    "color": ["gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow", "pink", "orange"],
    "count": [str(number) for number in range(1, 11)],
}
_ANNOTATIONS: Final = "clevr_4_annots.json"
_LAYOUT: Final = (
    "Clevr4-10k is https://thor.robots.ox.ac.uk/clevr4/clevr_4_10k_v1.zip; unpack it and give the folder that holds "
    f"images/ and {_ANNOTATIONS}, or the one above it"
)


def load_clevr4(root: Path, *, complete: bool = False) -> LabelledImages:
    """All images sorted by name, whatever their split, as the paper has them.

    Args:
        root: the folder with `images/<name>.png` and `clevr_4_annots.json`, or the one above `clevr_4_10k_v1/`.
        complete: also require that all 10,531 images are annotated.

    Raises:
        DatasetError: if files are missing, the annotation file has another shape, or labels are none of Clevr4's.
    """
    inner = root / "clevr_4_10k_v1"
    folder = inner if inner.is_dir() else root
    require([folder / _ANNOTATIONS, folder / "images"], layout=_LAYOUT)
    annotations = read_json(folder / _ANNOTATIONS)
    if not isinstance(annotations, dict) or not annotations:
        raise DatasetError(f"{folder / _ANNOTATIONS} must be an object of image name -> labels. {_LAYOUT}")
    flaws = [flaw for name, labels in annotations.items() for flaw in _flaws(name, labels)]
    if flaws:
        raise DatasetError(f"{folder / _ANNOTATIONS} has {len(flaws)} labels that Clevr4 does not: {few(flaws)}")
    names = sorted(annotations)
    if complete and len(names) != CLEVR4_IMAGES:
        raise DatasetError(f"{folder / _ANNOTATIONS} has {len(names):,} images, Clevr4-10k has {CLEVR4_IMAGES:,}")
    images = tuple(folder / "images" / f"{name}.png" for name in names)
    require_images(images, layout=_LAYOUT)
    return LabelledImages(
        images, {criterion: tuple(str(annotations[name][criterion]) for name in names) for criterion in _VALUES}
    )


def _flaws(name: str, labels: Any) -> list[str]:
    if not isinstance(labels, dict):
        return [f"{name} is {labels!r}, not an object"]
    return [
        f"{name} has {criterion} {labels.get(criterion)!r}"
        for criterion, allowed in _VALUES.items()
        if str(labels.get(criterion)) not in allowed
    ]
