"""Conditional similarity in GeneCIS' form: a reference image, a condition, and a gallery with one right answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.evaluation.metrics import target_rank

__all__ = ["ALPHA", "GalleryQuery", "condition_texts", "gallery_ranks", "predicted_ranks"]

ALPHA: Final = 10.0
"""Weight of the conditional similarity beside the text's (arXiv 2510.04564, C.3)."""

_POSITIONS: Final = ("left", "right", "top", "lower", "mid")


@dataclass(frozen=True, slots=True)
class GalleryQuery:
    """One query; images are given by their rows.

    Attributes:
        condition: the respect in which the target is the same, or differs.
        reference: the query image.
        target: the right answer.
        gallery: the wrong ones.
    """

    condition: str
    reference: int
    target: int
    gallery: tuple[int, ...]

    @property
    def candidates(self) -> tuple[int, ...]:
        """The candidates to rank: the target first, then the gallery."""
        return (self.target, *self.gallery)


def condition_texts(condition: str) -> list[str]:
    """The five prompts that a condition's similarity is the mean of, from the paper's code."""
    return [f"a photo with a {condition} on the {position}" for position in _POSITIONS]


def gallery_ranks(
    queries: Sequence[GalleryQuery],
    images: Float32Array,
    conditional: Float32Array,
    conditions: Mapping[str, Float32Array],
    *,
    alpha: float = ALPHA,
    normalize: bool = True,
) -> dict[str, list[int]]:
    """The target's rank in every query's gallery, by each method; ties count against the target.

    The paper's score is S = S1 + alpha·S2: S1 the mean cosine of a candidate and the condition's texts, S2 the
    cosine of the conditional representations of candidate and reference (arXiv 2510.04564, C.3). Its code also
    scales S1 and S2 to unit length over the gallery, which the text does not say.

    Args:
        queries: Q queries.
        images: [N, d], unit rows.
        conditional: R, [N, r], unit rows.
        conditions: condition -> embeddings of its texts, [P, d], unit rows.
        alpha: weight of S2.
        normalize: scale both over the gallery, as the code does; False is the paper's text.

    Returns:
        Method -> Q ranks, 0 the first. "image", "text" and "image + text" (the sum of the two cosines) know no
        criterion; "raw" is the paper's score with the raw image embeddings in the place of R; "CRL" is the paper's.
    """
    ranks: dict[str, list[int]] = {method: [] for method in ("image", "text", "image + text", "raw", "CRL")}
    for query in queries:
        candidates = list(query.candidates)
        text = (images[candidates] @ conditions[query.condition].T).mean(axis=1)
        image = images[candidates] @ images[query.reference]
        ours = conditional[candidates] @ conditional[query.reference]
        scores = {
            "image": image,
            "text": text,
            "image + text": image + text,
            "raw": _combined(text, image, alpha, normalize),
            "CRL": _combined(text, ours, alpha, normalize),
        }
        for method, each in scores.items():
            ranks[method].append(target_rank(each, 0))
    return ranks


def predicted_ranks(queries: Sequence[GalleryQuery], images: Float32Array, predictions: Float32Array) -> list[int]:
    """The target's rank where each query's candidates are compared with one embedding; ties count against it.

    Args:
        queries: Q queries.
        images: [N, d], unit rows.
        predictions: [Q, d], unit rows.

    Returns:
        Q ranks, 0 the first.
    """
    return [
        target_rank(images[list(query.candidates)] @ prediction, 0)
        for query, prediction in zip(queries, predictions, strict=True)
    ]


def _combined(text: Float32Array, image: Float32Array, alpha: float, normalize: bool) -> Float32Array:
    if normalize:
        text, image = (each / max(float(np.linalg.norm(each)), 1e-12) for each in (text, image))
    return np.asarray(text + alpha * image, dtype=np.float32)
