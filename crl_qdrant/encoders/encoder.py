"""The four names that make an encoder. Anything that has them can be passed as `encoder=`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt
from PIL.Image import Image

__all__ = ["Encoder"]


@runtime_checkable
class Encoder(Protocol):
    """A model with an image tower and a text tower in one space of `dimension` dimensions.

    It may also have `preprocess(image)`. The threads that decode images call it, and `encode_images` gets its results
    in the images' place.
    """

    @property
    def name(self) -> str:
        """The name that the collection stores; two encoders with the same name must give the same embeddings."""

    @property
    def dimension(self) -> int:
        """d, the length of an embedding."""

    def encode_images(self, images: Sequence[Image]) -> npt.NDArray[Any]:
        """Embeddings [N, d], any float type and length, of N upright RGB images of any size."""

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[Any]:
        """Embeddings [K, d], any float type and length, of K texts."""
