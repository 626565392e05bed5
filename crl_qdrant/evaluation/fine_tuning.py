"""The paper's stage 2 for fashion retrieval (arXiv 2510.04564, D.3): the image tower trained, the heads frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn, Tensor
from torch.nn import functional

from crl_qdrant.common.progress import Advance
from crl_qdrant.errors import InputError
from crl_qdrant.projection.checkpoint import Checkpoint
from crl_qdrant.projection.on_device import conditional_representation, Projection
from crl_qdrant.projection.training_loop import train_epochs
from crl_qdrant.projection.triplets import Drawn, triplet_loss, Triplets, TripletSettings

__all__ = ["STAGE_2", "fine_tune"]

STAGE_2: Final = TripletSettings(epochs=100, triplets=100_000, batch_size=32, learning_rate=1e-6, patience=None, seed=0)
"""The paper's settings; the configuration in its repository has 50 epochs. The paper does not say how many triplets an
epoch has: as many as in stage 1 here. `out` and `hidden` are not used."""

IntArray = npt.NDArray[np.int64]


def fine_tune(
    model: Any,
    pixels_of: Callable[[IntArray], Tensor],
    items: Mapping[str, tuple[IntArray, IntArray]],
    projections: Mapping[str, Projection],
    *,
    settings: TripletSettings = STAGE_2,
    measure: Callable[[], float] | None = None,
    advance: Advance = lambda items, total=None: None,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """Train the image tower of an open_clip model in place; criteria, heads and text tower do not change.

    `torch.save(model.state_dict(), path)` then makes a checkpoint that "open_clip:<model>/<path>" loads.

    Args:
        model: open_clip's CLIP in single precision: in half precision a step of 1e-6 is lost.
        pixels_of: gives preprocessed images [n, 3, H, W] by their positions, int [n].
        items: by attribute, its images' positions and values, int [n] each.
        projections: by attribute, each with its head, on the model's device.
        settings: of the training; the paper's by default.
        measure: of the model after an epoch, larger is better; the best epoch's weights are kept. None: the last's.
        advance, checkpoint: as in `train_epochs`.

    Returns:
        The mean triplet loss of each epoch.

    Raises:
        InputError: if the image tower is in half precision.
    """
    tower: nn.Module = model.visual
    if any(each.dtype != torch.float32 for each in tower.parameters()):
        raise InputError('the image tower must be in single precision; make the model with precision="fp32"')
    triplets = Triplets([np.unique(values, return_inverse=True)[1] for _, values in items.values()])

    def loss(batch: Drawn) -> Tensor:
        return _loss(model, pixels_of, items, projections, batch, margin=settings.margin)

    tuned = train_epochs(
        tower,
        triplets,
        settings,
        loss=loss,
        measure=measure,
        snapshot=lambda: {name: each.detach().clone() for name, each in tower.state_dict().items()},
        advance=advance,
        checkpoint=checkpoint,
    )
    if tuned.best is not None:
        tower.load_state_dict(tuned.best)
    return tuned.losses


def _loss(
    model: Any,
    pixels_of: Callable[[IntArray], Tensor],
    items: Mapping[str, tuple[IntArray, IntArray]],
    projections: Mapping[str, Projection],
    batch: Drawn,
    *,
    margin: float,
) -> Tensor:
    """The mean loss of a batch, embedded in one pass and compared by each triplet's own attribute."""
    names = list(items)
    device = next(model.visual.parameters()).device
    # [3, n]: positions of anchors, positives and negatives among all images, whatever the attribute
    positions = np.stack(batch[1:])
    for at, name in enumerate(names):
        of_attribute = batch.attribute == at
        positions[:, of_attribute] = items[name][0][positions[:, of_attribute]]
    pixels = pixels_of(positions.reshape(-1)).to(device)
    embeddings = functional.normalize(model.encode_image(pixels), dim=-1).view(*positions.shape, -1)
    parts = []
    for at in np.unique(batch.attribute).tolist():
        chosen = embeddings[:, torch.from_numpy(batch.attribute == at).to(device)]
        rows = conditional_representation(chosen.flatten(0, 1), projections[names[at]])
        parts.append(triplet_loss(rows.view(*chosen.shape[:2], -1), margin))
    return torch.stack(parts).sum() / len(batch.attribute)
