"""Retrieval by attribute: which candidates share the query's value of one attribute (DeepFashion)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch

from crl_qdrant.analysis.average_precision import average_precisions, rank
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.encoders import Encoder
from crl_qdrant.evaluation.representation import criterion_projection, embed_words
from crl_qdrant.projection.on_device import conditional_representation, Projection

__all__ = ["attribute_precision", "attribute_projections", "projected", "reduced_words"]

_QUERIES_AT_ONCE = 256


def attribute_precision(
    queries: Float32Array,
    query_values: npt.NDArray[np.int64],
    candidates: Float32Array,
    candidate_values: npt.NDArray[np.int64],
    *,
    advance: Callable[[int], object] = lambda items: None,
) -> float:
    """mAP of one attribute: the candidates listed under it are ranked in full for each of its queries.

    A candidate is relevant where it has the query's value; a query without any relevant one has precision 0, as in
    the benchmark's code (ASEN++).

    Args:
        queries: [Q, r], unit rows.
        query_values: int [Q].
        candidates: [N, r], unit rows: those listed under this attribute only.
        candidate_values: int [N].
        advance: called with the number of queries after each batch.

    Returns:
        A number in [0, 1].
    """
    total = 0.0
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        batch = slice(start, start + _QUERIES_AT_ONCE)
        order = rank(queries[batch] @ candidates.T)
        relevant = candidate_values[order] == query_values[batch, None]
        total += float(np.nansum(average_precisions(relevant)))
        advance(len(order))
    return total / len(queries)


def attribute_projections(
    criteria: Mapping[str, Criterion], encoder: Encoder, images: Float32Array, *, components: int | None = None
) -> dict[str, Projection]:
    """By attribute, the projection that its images are compared by.

    Args:
        criteria: by attribute.
        encoder: embeds the words.
        images: [N, d], unit rows; their mean is taken where a criterion's options ask for one.
        components: number of rows that each attribute's words are reduced to before R is taken, see `reduced_words`.
            None: the criterion's options apply.

    Raises:
        CriterionError: if the options suppress other criteria.
    """
    found = {}
    for name, criterion in criteria.items():
        words = embed_words(criterion, encoder)
        if components is None:
            found[name] = criterion_projection(images, criterion, words)
        else:
            basis = torch.from_numpy(reduced_words(words, components))
            found[name] = Projection(basis.T.contiguous(), torch.zeros(len(basis)), torch.eye(len(basis)))
    return found


def projected(images: Float32Array, projection: Projection) -> Float32Array:
    """Conditional representations of images, float32 [N, r], unit rows, from embeddings [N, d]."""
    return np.asarray(conditional_representation(torch.from_numpy(images), projection).numpy())


def reduced_words(words: Float32Array, components: int) -> Float32Array:
    """A basis of `components` rows in the place of more words, by PCA as the paper's code has it (D.3).

    The words are the columns there and the d dimensions the samples, so what is taken off is each word's own mean
    over its d numbers, not the mean word. The rows are U·S of the centred [d, K] matrix, transposed: the inner
    products of conditional representations stay those of the centred words, but for the directions cut off.

    Args:
        words: T, [K, d], unit rows.
        components: rows of the basis. K or more leaves the words as they are, not centred either.

    Returns:
        float32 [min(components, K), d].
    """
    if components >= len(words):
        return words
    columns = words.T.astype(np.float64)  # [d, K]
    directions, spread, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
    return np.asarray((directions[:, :components] * spread[:components]).T, dtype=np.float32)
