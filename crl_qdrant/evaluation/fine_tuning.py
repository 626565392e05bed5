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
from crl_qdrant.projection.training import triplet_loss, Triplets, TripletSettings

__all__ = ["STAGE_2", "fine_tune"]

STAGE_2: Final = TripletSettings(epochs=100, triplets=100_000, batch_size=32, learning_rate=1e-6, patience=None, seed=0)
"""The paper's settings; the configuration in its repository has 50 epochs. How many triplets an epoch has is not said:
as many as in stage 1 here. `out`, `hidden` and `patience` are not looked at."""

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
    """Train the image tower of an open_clip model in place, through criteria and heads that stay as they are.

    `torch.save(model.state_dict(), path)` then makes a checkpoint that "open_clip:<model>/<path>" loads. The words'
    embeddings stay what they were, for the text tower is not touched.

    Args:
        model: open_clip's CLIP in single precision: in half precision steps of 1e-6 are nothing.
        pixels_of: gives preprocessed pictures [n, 3, H, W] by their positions, int [n].
        items: by attribute, its pictures' positions and values, int [n] each.
        projections: by attribute, each with its head, on the model's device.
        settings: how; the paper's by default.
        measure: of the model after an epoch, the larger the better; the best epoch's weights stay. None: the last's.
        advance: called with 1 after each step.
        checkpoint: where each epoch is kept, and what was stopped is gone on with, to the same end. None: nowhere.

    Returns:
        The mean triplet loss of each epoch.

    Raises:
        InputError: an image tower in half precision.
    """
    tower: nn.Module = model.visual
    if any(each.dtype != torch.float32 for each in tower.parameters()):
        raise InputError('the image tower must be in single precision; make the model with precision="fp32"')
    device = next(tower.parameters()).device
    names = list(items)
    triplets = Triplets([np.unique(items[name][1], return_inverse=True)[1] for name in names])
    optimizer = torch.optim.Adam(tower.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, settings.decay_every, settings.decay)
    steps = -(-settings.triplets // settings.batch_size)
    losses: list[float] = []
    best, kept = float("-inf"), dict[str, Tensor]()
    if checkpoint is not None and (state := checkpoint.load(device)) is not None:
        tower.load_state_dict(state["tower"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        best, kept, losses = state["measure"], state["best"], state["losses"]
        tower.eval()
        advance(len(losses) * steps, settings.epochs * steps)
    for epoch in range(len(losses), settings.epochs):
        tower.train()
        total = 0.0
        for batch in triplets.drawn(settings, epoch=epoch).batches(settings.batch_size):
            # [3, n]: the pictures of anchors, positives and negatives, whichever attribute each triplet is of
            pictures = np.stack(batch[1:])
            for at, name in enumerate(names):
                of_attribute = batch.attribute == at
                pictures[:, of_attribute] = items[name][0][pictures[:, of_attribute]]
            pixels = pixels_of(pictures.reshape(-1)).to(device)
            embeddings = functional.normalize(model.encode_image(pixels), dim=-1).view(*pictures.shape, -1)
            parts = []
            for at in np.unique(batch.attribute).tolist():
                chosen = embeddings[:, torch.from_numpy(batch.attribute == at).to(device)]
                rows = conditional_representation(chosen.flatten(0, 1), projections[names[at]])
                parts.append(triplet_loss(rows.view(*chosen.shape[:2], -1), settings.margin))
            loss = torch.stack(parts).sum() / len(batch.attribute)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss.detach()) * len(batch.attribute)
            advance(1, settings.epochs * steps)
        schedule.step()
        losses.append(total / settings.triplets)
        tower.eval()
        if measure is not None and (found := measure()) > best:
            best, kept = found, {name: each.detach().clone() for name, each in tower.state_dict().items()}
        if checkpoint is not None:
            checkpoint.save(
                {
                    "tower": tower.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "measure": best,
                    "best": kept,
                    "losses": losses,
                }
            )
    if kept:
        tower.load_state_dict(kept)
    return losses
