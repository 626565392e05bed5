"""Criteria's projections applied: to rows, on a device, and to the points of a store as a named vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TYPE_CHECKING

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.manifest import StoredCriterion
from crl_qdrant.projection.stored import StoredProjection
from crl_qdrant.stores import Store

if TYPE_CHECKING:
    from crl_qdrant.projection.on_device import Projection

__all__ = ["Projector", "fill_vectors", "lacking"]

_FEW_ROWS: Final = 4


class Projector:
    """Projections on one device, each brought there once.

    Args:
        device: "auto", "cpu" or "cuda…".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._projections: dict[str, Projection] = {}  # by the stored projection's key

    def on_device(self, kept: StoredProjection) -> Projection:
        """A projection on the device."""
        if kept.key not in self._projections:
            import torch

            from crl_qdrant.common.device import choose_device
            from crl_qdrant.projection.on_device import Head, Projection

            matrix, offset, words = (torch.tensor(each) for each in (kept.matrix, kept.offset, kept.words))
            head = None if kept.head is None else Head(*map(torch.tensor, kept.head))
            made = Projection(matrix, offset, words, kept.sharpen, kept.blend, head)
            self._projections[kept.key] = made.to(choose_device(self._device))
        return self._projections[kept.key]

    def project(self, kept: StoredProjection, embeddings: Float32Array) -> Float32Array:
        """Conditional representations [N, r] of unit embeddings [N, d], unit rows; zeros where there is none."""
        # a few rows are quickest in NumPy: waking a GPU, or torch's threads, takes longer than an engine's search
        if len(embeddings) <= _FEW_ROWS:
            return kept.represent(embeddings)
        import torch

        from crl_qdrant.projection.on_device import conditional_representation

        projection = self.on_device(kept)
        rows = torch.from_numpy(embeddings).to(projection.matrix.device)
        return np.asarray(conditional_representation(rows, projection).cpu().numpy())


def lacking(*vectors: str, having: str | None = None) -> models.Filter:
    """Points that lack any of these named vectors, of those that have another."""
    present = None if having is None else models.HasVectorCondition(has_vector=having)
    lacks: list[Any] = [models.Filter(must_not=models.HasVectorCondition(has_vector=each)) for each in vectors]
    return models.Filter(must=present, should=lacks)


def fill_vectors(
    store: Store,
    raw_vector: str,
    versions: Sequence[StoredCriterion],
    projector: Projector,
    *,
    batch_size: int,
    advance: Advance,
) -> int:
    """Write criteria's named vectors for the points that have raw vectors and lack any; returns how many points.

    All in one pass: to read an embedding out of the store takes longer than to write a criterion's vector.
    """
    left = [each for each in versions if store.count(lacking(each.vector, having=raw_vector))]
    if not left:
        return 0
    wanted = lacking(*(each.vector for each in left), having=raw_vector)
    total, written = store.count(wanted), 0
    for ids, embeddings in store.scroll(vector=raw_vector, query_filter=wanted, batch_size=batch_size):
        store.update_vectors(ids, {each.vector: projector.project(each.projection, embeddings) for each in left})
        written += len(ids)
        advance(len(ids), total)
    return written
