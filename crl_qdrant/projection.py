"""The mathematics of conditional representation learning, on any torch device. Knows no database.

T [K, d] are the unit text embeddings of a criterion's words, I [N, d] unit image embeddings. The paper
(arXiv 2510.04564, eq. 4) compares the rows of R = I Tᵀ by cosine. With the thin singular value
decomposition T = U S Vᵀ of rank r, R = (I V S) Uᵀ, and U has orthonormal columns, so the r columns of
I·P with P = V·S have exactly R's inner products and cosines.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["conditional_representation", "cosine_similarity", "projection_matrix", "top_k", "word_matrix"]


def projection_matrix(
    text_embeddings: Tensor, *, weighting: float = 1.0, center: bool = False, energy: float = 1.0
) -> Tensor:
    """P = V·Sᵖ, which turns image embeddings into conditional representations.

    Args:
        text_embeddings: T, [K, d], unit rows, any float type and device.
        weighting: the exponent p; 1 is the paper.
        center: take the mean text out of T first.
        energy: keep the fewest leading directions that hold this share of the squared singular values.

    Returns:
        P, float32 [d, r] on T's device, r = rank(T) <= min(K, d); fewer columns where energy < 1.
        r is 0 where T is zero, as one text is once its mean is taken out.
    """
    _, singular, directions = _decomposed(text_embeddings, center=center, energy=energy)
    projection: Tensor = directions * singular.pow(weighting)  # (d, r)
    return projection.to(text_embeddings.device, torch.float32).contiguous()


def word_matrix(
    text_embeddings: Tensor, *, weighting: float = 1.0, center: bool = False, energy: float = 1.0
) -> Tensor:
    """V·Sᵖ·Uᵀ: conditional representations by words, with the inner products that P gives; Tᵀ for the paper's options.

    Args and options as for `projection_matrix`.

    Returns:
        float64 [d, K], in the CPU's memory.
    """
    words, singular, directions = _decomposed(text_embeddings, center=center, energy=energy)
    matrix: Tensor = (directions * singular.pow(weighting)) @ words.T
    return matrix


def _decomposed(text_embeddings: Tensor, *, center: bool, energy: float) -> tuple[Tensor, Tensor, Tensor]:
    """The thin SVD's U [K, r], S [r] and V [d, r] in float64, directions that are noise or beyond `energy` left out."""
    # The matrix is small and squared condition numbers are not: decompose in float64 (in the CPU's memory, since
    # not every device has float64).
    texts = text_embeddings.detach().to("cpu", torch.float64)
    if center:
        texts = texts - texts.mean(dim=0)
    words, singular, directions = torch.linalg.svd(texts, full_matrices=False)
    # T comes from float32 models: directions below its rounding are noise, which p <= 0 would blow up.
    noise = max(texts.shape) * torch.finfo(torch.float32).eps
    rank = int((singular > noise * max(float(singular[0]), 1e-3)).sum())
    if energy < 1.0 and rank:
        shares = singular[:rank].square().cumsum(0) / singular[:rank].square().sum()
        rank = min(rank, int((shares < energy - 1e-12).sum()) + 1)
    return words[:, :rank], singular[:rank], directions[:rank].T


def conditional_representation(image_embeddings: Tensor, projection: Tensor) -> Tensor:
    """Rows of I·P at unit length: the criterion's view of each image.

    Args:
        image_embeddings: I, [N, d] or [d], any float type (half precision is projected in float32).
        projection: P, float32 [d, r], on the same device.

    Returns:
        float32 [N, r] or [r], unit rows; a row of zeros where an image has no part in the words' span.
    """
    return functional.normalize(image_embeddings.to(torch.float32) @ projection, dim=-1)


def cosine_similarity(queries: Tensor, candidates: Tensor) -> Tensor:
    """Cosine of every query [Q, r] (or [r]) with every candidate [N, r], whose rows are of unit length.

    Returns:
        float32 [Q, N] (or [N]) in [-1, 1], but for rounding.
    """
    return queries @ candidates.T


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of scores [N] (all, where there are fewer), largest first.

    Returns:
        Scores [min(k, N)] and their positions, int64 [min(k, N)]; equal scores keep the order they came in.
    """
    found = min(k, scores.shape[0])
    values, positions = torch.topk(scores, found)
    # topk returns ties in any order; a stable sort of the positions first makes the answer repeatable
    by_position = positions.sort().indices
    order = values[by_position].sort(descending=True, stable=True).indices
    return values[by_position][order], positions[by_position][order]
