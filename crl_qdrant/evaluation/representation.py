"""A criterion's representation R, as all evaluations use it."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.criteria.build import embedded_words
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.encoders import Encoder
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import CriterionError
from crl_qdrant.projection.build import build_projection
from crl_qdrant.projection.on_device import conditional_representation, on_device, Projection

__all__ = ["bind_encoder", "criterion_projection", "embed_texts", "embed_words", "represent"]


def bind_encoder(encoder: Encoder) -> BoundEncoder:
    """The encoder as a collection uses it: unit rows, and errors of one kind."""
    return BoundEncoder("evaluation", encoder.name, encoder.dimension, encoder=encoder, device="cpu")


_SAMPLE: Final = 10_000


def embed_texts(texts: list[str], encoder: Encoder) -> Float32Array:
    """Embeddings [K, d] of texts, unit rows.

    Raises:
        EncoderError: if the encoder fails, or gives another shape, or NaN or zero rows.
    """
    return bind_encoder(encoder).encode_texts(texts, purpose="embed texts")


def embed_words(criterion: Criterion, encoder: Encoder) -> Float32Array:
    """T of a criterion, [K, d], unit rows: its own embeddings, or those that a collection would make of its words.

    Raises:
        EncoderError: as `embed_texts`.
    """
    return embedded_words(criterion, bind_encoder(encoder)) if criterion.embeddings is None else criterion.embeddings


def criterion_projection(images: Float32Array, criterion: Criterion, words: Float32Array) -> Projection:
    """The projection of a criterion, as a collection would have it.

    Args:
        images: I, [N, d], unit rows; what the options find on images is found on the first 10,000.
        criterion: for its options.
        words: T, [K, d], unit rows, as `embed_words` gives it.

    Raises:
        CriterionError: options that suppress other criteria, which an evaluation of one criterion does not have.
    """
    options = criterion.options
    if options.suppress:
        raise CriterionError(f"criterion {criterion.name!r} suppresses others, and is evaluated here without them")
    sample = images[:_SAMPLE] if options.reads_images else None
    return on_device(build_projection(words, options, images=sample))


def represent(images: Float32Array, criterion: Criterion, words: Float32Array) -> Float32Array:
    """The images by a criterion: for the paper's options R = I Tᵀ (arXiv 2510.04564, eq. 4), a column for each word.

    By words and not by the r directions that a collection stores: inner products are the same, but the paper's
    scaling of R for few-shot classification is not, since it takes means over a row.

    Args:
        images, criterion, words: as `criterion_projection` takes them.

    Returns:
        float32 [N, K], rows as they come; `unit_or_zero` makes them unit rows. With options that sharpen, compress, or
        keep a rest, what a collection would store.

    Raises:
        CriterionError: as `criterion_projection` does.
    """
    made = criterion_projection(images, criterion, words)
    if made.sharpen or made.rest or made.compression is not None:
        return np.asarray(conditional_representation(torch.from_numpy(images), made).numpy())
    return np.asarray((images @ made.matrix.numpy() + made.offset.numpy()) @ made.words.numpy().T, dtype=np.float32)
