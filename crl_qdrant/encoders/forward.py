"""Inputs go through a model batch by batch; embeddings come back in the computer's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TYPE_CHECKING

from crl_qdrant.common.arrays import Float32Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["embedded"]


def embedded(tower: Callable[[Any], Tensor], inputs: Iterable[Any], *, unit: bool = True) -> list[Float32Array]:
    """Embed each batch of inputs with `tower`: [n, d], float32, unit rows or, if asked, as long as they come."""
    import torch
    from torch.nn import functional

    rows = []
    with torch.inference_mode():
        for batch in inputs:
            made = tower(batch).float()
            # each batch leaves the device at once, so that only one is held there
            rows.append((functional.normalize(made, dim=-1) if unit else made).cpu().numpy())
    return rows
