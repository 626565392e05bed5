"""From a criterion to its representation R: the one place where the evaluation does this."""

from __future__ import annotations

import numpy as np
import torch

from crl_qdrant.criterion import Criterion
from crl_qdrant.embeddings import Float32Array, unit_rows
from crl_qdrant.encoders import Encoder
from crl_qdrant.projection import word_matrix

__all__ = ["embed_texts", "embed_words", "represent", "scaled"]


def embed_texts(texts: list[str], encoder: Encoder) -> Float32Array:
    """Embeddings [K, d] of texts, unit rows.

    Raises:
        EmbeddingError: the encoder gives another shape, or NaN or zero rows.
    """
    what = f"what encoder {encoder.name!r} makes of texts"
    return unit_rows(encoder.encode_texts(texts), what=what, rows=len(texts), dimension=encoder.dimension)


def embed_words(criterion: Criterion, encoder: Encoder) -> Float32Array:
    """T of a criterion, [K, d], unit rows: its own embeddings, or its words in its prompt by the encoder."""
    return embed_texts(criterion.texts, encoder) if criterion.embeddings is None else criterion.embeddings


def represent(images: Float32Array, criterion: Criterion, words: Float32Array) -> Float32Array:
    """R = I Tᵀ with the criterion's options (arXiv 2510.04564, eq. 4), one column for each word.

    By words and not by the r directions that a collection stores: inner products are the same, but the paper's
    scaling of R for few-shot classification is not, since it takes means over a row.

    Args:
        images: I, [N, d], unit rows.
        criterion: for its options.
        words: T, [K, d], unit rows, as `embed_words` gives it.

    Returns:
        float32 [N, K], rows as they come; `scaled` makes them unit rows.
    """
    matrix = word_matrix(
        torch.from_numpy(np.ascontiguousarray(words)),
        weighting=criterion.weighting,
        center=criterion.center,
        energy=criterion.energy,
    )
    return np.asarray(images @ matrix.numpy().astype(np.float32), dtype=np.float32)


def scaled(rows: Float32Array) -> Float32Array:
    """The same [N, r] with unit rows; a row of zeros, an image that has no part in the words, stays one."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), dtype=np.float32)
