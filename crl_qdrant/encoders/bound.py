"""The encoder that a collection was written with: checked when it is passed, loaded by its name when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from PIL.Image import Image

from crl_qdrant.common.arrays import Float32Array, matrix, unit_rows
from crl_qdrant.encoders import Encoder, full_name, load_encoder
from crl_qdrant.errors import EmbeddingError, EncoderError, EncoderMismatchError

__all__ = ["BoundEncoder"]


class BoundEncoder:
    """One collection's encoder. Its embeddings are float32, of unit length and of the collection's dimension.

    Args:
        collection: the collection's name, for messages.
        name: the encoder's name in the manifest; None for a collection without one.
        dimension: d of the collection.
        encoder: the encoder, where it is at hand; a name is loaded when it is first needed.
        device: where a named encoder computes.

    Raises:
        EncoderMismatchError: if `encoder` is not the one named in the manifest.
        EncoderError: if `encoder` is no encoder.
    """

    def __init__(
        self, collection: str, name: str | None, dimension: int, *, encoder: str | Encoder | None, device: str
    ) -> None:
        self._collection = collection
        self._name = name
        self._dimension = dimension
        self._device = device
        self._lock = threading.Lock()
        self._encoder: Encoder | None = None
        if encoder is None:
            return
        given = full_name(encoder) if isinstance(encoder, str) else load_encoder(encoder)
        given_name = given if isinstance(given, str) else given.name
        if given_name != name:
            raise EncoderMismatchError(
                f"collection {collection!r} was written with encoder {name!r} and was opened with {given_name!r}; "
                "their embeddings cannot be compared. Leave encoder out, or create another collection"
            )
        if not isinstance(given, str):
            if given.dimension != dimension:
                raise EncoderMismatchError(
                    f"encoder {name!r} gives {given.dimension} dimensions and collection {collection!r} has {dimension}"
                )
            self._encoder = given

    @property
    def exists(self) -> bool:
        """Whether the collection has an encoder at all."""
        return self._name is not None

    @property
    def loaded(self) -> bool:
        """Whether it is at hand."""
        return self._encoder is not None

    def require(self, purpose: str) -> Encoder:
        """Return the encoder, loaded.

        Raises:
            EncoderError: if there is none, or it cannot be loaded; the message says what it was needed for.
        """
        with self._lock:
            if self._encoder is not None:
                return self._encoder
            if self._name is None:
                raise EncoderError(
                    f"collection {self._collection!r} has no encoder, so it cannot {purpose}; pass embeddings (a "
                    "criterion's: Criterion(name, words, embeddings=…)), or create a collection with an encoder"
                )
            try:
                self._encoder = load_encoder(self._name, device=self._device)
            except EncoderError as error:
                raise EncoderError(
                    f"collection {self._collection!r} was written with encoder {self._name!r}, which is needed to "
                    f"{purpose} and cannot be loaded by that name; pass it: CRLCollection.open(…, encoder=…) ({error})"
                ) from error
            return self._encoder

    def preprocess(self, image: Image) -> Any:
        """Prepare an image as the encoder wants it; called in the thread that decoded it, to make it small there.

        Raises:
            EncoderError: if there is no encoder, or it cannot take this image.
        """
        preprocess = getattr(self.require("embed images"), "preprocess", None)
        if preprocess is None:
            return image
        try:
            return preprocess(image)
        except Exception as error:  # whatever code the encoder runs, one image must not cost the others
            raise EncoderError(f"encoder {self._name!r} cannot take an image of {image.size}: {error}") from error

    def encode_images(self, images: Sequence[Any], *, purpose: str) -> Float32Array:
        """Embed upright RGB images, or what `preprocess` made of them: [N, d], not yet of unit length.

        Raises:
            EncoderError: if there is no encoder, it fails, or its output is not [N, d].
        """
        return self._encoded(lambda encoder: encoder.encode_images(images), len(images), purpose)

    def encode_texts(self, texts: Sequence[str], *, purpose: str) -> Float32Array:
        """Embed texts: [K, d], unit rows; errors as for images, and for NaN or zero rows."""
        return self.unit(self._encoded(lambda encoder: encoder.encode_texts(texts), len(texts), purpose))

    def unit(self, embeddings: Float32Array) -> Float32Array:
        """Return the embeddings with rows of unit length.

        Raises:
            EncoderError: if a row has NaN, infinite or only zero values.
        """
        try:
            return unit_rows(embeddings, what="its output")
        except EmbeddingError as error:
            raise EncoderError(f"encoder {self._name!r} cannot be used: {error}") from error

    def _encoded(self, encode: Callable[[Encoder], object], rows: int, purpose: str) -> Float32Array:
        encoder = self.require(purpose)
        try:
            return matrix(encode(encoder), what="its output", rows=rows, dimension=self._dimension)
        except EmbeddingError as error:
            raise EncoderError(f"encoder {self._name!r} cannot be used: {error}") from error
        except Exception as error:  # whatever code the encoder runs
            raise EncoderError(f"encoder {self._name!r} failed: {type(error).__name__}: {error}") from error
