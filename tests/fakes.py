"""A colour encoder that needs no weights, pictures to go with it, and the paper's formula as it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from crl_qdrant import CRLCollection

MakeCollection = Callable[..., CRLCollection]
"""The fixture `make_collection`."""


class ColourEncoder:
    """Sees nothing but an image's mean colour, and reads nothing but the names of colours."""

    name = "colours"
    dimension = 4
    colours: ClassVar[dict[str, tuple[int, int, int]]] = {
        "red": (255, 0, 0),
        "green": (0, 255, 0),
        "blue": (0, 0, 255),
        "yellow": (255, 255, 0),
        "white": (255, 255, 255),
        "black": (0, 0, 0),
    }

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
        means = [np.asarray(image, dtype=float).reshape(-1, 3).mean(axis=0) / 255 for image in images]
        return np.array([[*mean, 0.5] for mean in means])

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        rows = []
        for text in texts:
            named = [value for name, value in self.colours.items() if name in text]
            rows.append([*(np.mean(named, axis=0) / 255 if named else (0.3, 0.3, 0.3)), 0.5])
        return np.array(rows)


class Newer(ColourEncoder):
    """Another space: the colours and their squares."""

    name = "newer"
    dimension = 7

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
        rows = super().encode_images(images)
        return np.concatenate([rows, rows[:, :3] ** 2], axis=1)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        rows = super().encode_texts(texts)
        return np.concatenate([rows, rows[:, :3] ** 2], axis=1)


def image_of(point: Any, payload: dict[str, Any]) -> Image.Image:
    """The picture of a point whose payload has its colour."""
    return picture(tuple(payload["rgb"]))


def picture(colour: str | tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, colour)


def unit(array: npt.ArrayLike) -> npt.NDArray[np.float64]:
    rows = np.asarray(array, dtype=np.float64)
    scaled: npt.NDArray[np.float64] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return scaled


def conditional_cosines(images: npt.ArrayLike, texts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The paper's formula in float64, as it is written: cosines of the rows of R = I Tᵀ, [N, N]."""
    representation = unit(unit(images) @ unit(texts).T)
    return representation @ representation.T


def by_words(
    images: npt.ArrayLike,
    texts: npt.ArrayLike,
    *,
    center: bool = True,
    sharpen: float | str = "auto",
    blend: float = 0.5,
    weighting: float = 1.0,
) -> npt.NDArray[np.float64]:
    """Conditional representations as docs/criteria.md says of the options, by words: float64, unit rows.

    The defaults are those of a collection with fewer than 256 images.

    [N, K] for the similarities or the sharpened form, [N, 2K] for both.
    """
    basis = unit(texts)
    if center:
        basis = basis - basis.mean(axis=0)
    u, s, v = np.linalg.svd(basis, full_matrices=False)
    keep = s > 1e-9
    rows = unit(images) @ v[keep].T @ np.diag(s[keep] ** weighting) @ u[:, keep].T
    if not sharpen:
        return unit(rows)
    temperature = np.sqrt(np.log(len(basis)) / np.log(123)) if sharpen == "auto" else float(sharpen)
    sharp = unit(np.exp(rows / rows.std(axis=1, keepdims=True) / temperature))
    return sharp if blend == 1 else np.concatenate([np.sqrt(1 - blend) * unit(rows), np.sqrt(blend) * sharp], axis=1)


class PublishedCombiner(nn.Module):
    """GeneCIS' Combiner as its authors' weights name its parts, of d-dimensional embeddings."""

    def __init__(self, d: int, width: int, hidden: int) -> None:
        super().__init__()
        self.text_projection_layer, self.image_projection_layer = nn.Linear(d, width), nn.Linear(d, width)
        self.combiner_layer, self.output_layer = nn.Linear(2 * width, hidden), nn.Linear(hidden, d)
        self.dynamic_scalar = nn.Sequential(
            nn.Linear(2 * width, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, 1), nn.Sigmoid()
        )

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        both = torch.cat((self.text_projection_layer(text).relu(), self.image_projection_layer(image).relu()), -1)
        share = self.dynamic_scalar(both)
        made = self.output_layer(self.combiner_layer(both).relu())
        return nn.functional.normalize(made + share * text + (1 - share) * image)
