"""Images decoded and embedded, with an error for each image that fails: for ingest, migration and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from crl_qdrant.common.arrays import flaw, Float32Array, unit_rows
from crl_qdrant.common.images import decoded, ImageInput
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import CRLError, EncoderError, InputError

__all__ = ["ImageEmbedder"]

T = TypeVar("T")


class ImageEmbedder:
    """Decodes and embeds images; one that fails never costs the others.

    Args:
        encoder: embeds the images.
        dimension: d of its embeddings.
        purpose: completes the error of a collection without an encoder, "it cannot …".
    """

    def __init__(self, encoder: BoundEncoder, dimension: int, *, purpose: str) -> None:
        self._encoder = encoder
        self._dimension = dimension
        self._purpose = purpose
        self._has_embedded = False

    def prepare(self, image: ImageInput) -> Any:
        """Decode an image and preprocess it for the encoder; called in threads.

        Raises:
            ImageError: if the image cannot be read.
            EncoderError: if there is no encoder, or it cannot preprocess this image.
        """
        with decoded(image) as picture:
            return self._encoder.preprocess(picture)

    def attempt(self, work: Callable[[], T]) -> T | CRLError:
        """Do the work of one item; an item that fails gives its error back instead of raising it.

        Raises:
            EncoderError: if the encoder cannot be loaded: no item is to blame.
        """
        try:
            return work()
        except CRLError as error:
            if isinstance(error, EncoderError) and self._encoder.exists and not self._encoder.loaded:
                raise
            return error
        except Exception as error:  # one odd item must not cost the others
            return InputError(f"it cannot be read: {type(error).__name__}: {error}")

    def embed(self, prepared: Sequence[Any]) -> tuple[Float32Array, dict[int, EncoderError]]:
        """Embed prepared images in one call; where that fails, one by one.

        Returns:
            float32 [n, d], unit rows, zeros for an image that failed; and the errors by position.

        Raises:
            EncoderError: if there is no encoder, or it fails at every image and has embedded none before.
        """
        if not prepared:
            return np.empty((0, self._dimension), dtype=np.float32), {}
        rows, failed = self._encode(prepared)
        good = np.isfinite(rows).all(axis=1) & rows.any(axis=1)
        for at in np.flatnonzero(~good).tolist():
            failed.setdefault(at, EncoderError(f"the encoder gave an embedding that {flaw(rows[at])}"))
        embeddings = np.zeros_like(rows)
        embeddings[good] = unit_rows(rows[good], what="the embeddings", dimension=self._dimension)
        return embeddings, failed

    def _encode(self, prepared: Sequence[Any]) -> tuple[Float32Array, dict[int, EncoderError]]:
        failed: dict[int, EncoderError] = {}
        try:
            rows = self._encoder.encode_images(prepared, purpose=self._purpose)
        except EncoderError:
            rows = np.zeros((len(prepared), self._dimension), dtype=np.float32)
            for at, each in enumerate(prepared):
                try:
                    rows[at] = self._encoder.encode_images([each], purpose=self._purpose)[0]
                except EncoderError as error:
                    failed[at] = error
            if len(failed) == len(prepared) and not self._has_embedded:
                raise  # nothing says that it is the images' fault
        self._has_embedded = True
        return rows, failed
