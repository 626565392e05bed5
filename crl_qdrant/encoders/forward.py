"""A model's inputs go through it batch by batch; its embeddings come back as unit rows in the computer's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TYPE_CHECKING

from crl_qdrant.embeddings import Float32Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["embedded"]


def embedded(tower: Callable[[Any], Tensor], inputs: Iterable[Any]) -> list[Float32Array]:
    """What `tower` makes of each batch of inputs: [n, d], float32, unit rows."""
    import torch
    from torch.nn import functional

    with torch.inference_mode():
        # each batch leaves the device at once, so that only one is held there
        return [functional.normalize(tower(batch).float(), dim=-1).cpu().numpy() for batch in inputs]
