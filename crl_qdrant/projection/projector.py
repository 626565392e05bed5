"""Projections applied to rows: on a device for many, in NumPy for a few or without torch."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import Final, TYPE_CHECKING

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.projection.stored import StoredProjection

if TYPE_CHECKING:
    from crl_qdrant.projection.on_device import Projection

__all__ = ["Projector"]

_FEW_ROWS: Final = 4
_MOST_KEPT: Final = 64


class Projector:
    """The projections of a collection's criteria on one device, each brought there once.

    The least recently used are dropped beyond 64, so that a criterion that is defined again and again costs no memory.

    Args:
        device: "auto", "cpu" or "cuda…".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._projections: dict[str, Projection] = {}  # by the stored projection's key
        self._lock = threading.Lock()

    def projection(self, stored: StoredProjection) -> Projection:
        """The projection on the device. Needs torch."""
        from crl_qdrant.common.device import choose_device
        from crl_qdrant.projection.on_device import on_device

        with self._lock:
            kept = self._projections.pop(stored.key, None)
            if kept is None:
                kept = on_device(stored, choose_device(self._device))
            self._projections[stored.key] = kept
            if len(self._projections) > _MOST_KEPT:
                del self._projections[next(iter(self._projections))]
        return kept

    def project(self, stored: StoredProjection, embeddings: Float32Array) -> Float32Array:
        """Conditional representations [N, r] of unit embeddings [N, d], unit rows; zeros where there is none."""
        # a few rows are quickest in NumPy: waking a GPU, or torch's threads, takes longer than an engine's search
        if len(embeddings) <= _FEW_ROWS or find_spec("torch") is None:
            return stored.represent(embeddings)
        import torch

        from crl_qdrant.projection.on_device import conditional_representation

        projection = self.projection(stored)
        rows = torch.from_numpy(embeddings).to(projection.matrix.device)
        return np.asarray(conditional_representation(rows, projection).cpu().numpy())
