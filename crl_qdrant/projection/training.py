"""Heads trained on triplets: items of one value end up nearer to each other than to items of another value.

The head, its loss and its optimiser are those of the paper's fashion retrieval (arXiv 2510.04564, section D.3).
Several heads can be trained together, one for each attribute, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn, Tensor
from torch.nn import functional

from crl_qdrant.common.progress import Advance
from crl_qdrant.projection.checkpoint import Checkpoint
from crl_qdrant.projection.on_device import Head
from crl_qdrant.projection.training_loop import train_epochs
from crl_qdrant.projection.triplets import Drawn, triplet_loss, Triplets, TripletSettings

__all__ = ["Training", "train_heads"]


class Training(NamedTuple):
    """Trained heads, one for each attribute.

    Attributes:
        heads: those of the best epoch.
        measure: their measure.
        best_epoch: that epoch's number, from 1.
        losses: the mean triplet loss of each epoch.
    """

    heads: list[Head]
    measure: float
    best_epoch: int
    losses: list[float]


def train_heads(
    representations: Sequence[Tensor],
    labels: Sequence[npt.NDArray[Any]],
    settings: TripletSettings,
    *,
    measure: Callable[[Sequence[Head]], float],
    advance: Advance,
    checkpoint: Checkpoint | None = None,
) -> Training:
    """Train heads (Linear, BatchNorm, ReLU, Linear) together, and keep those of the best epoch by `measure`.

    Args:
        representations: for each attribute the conditional representations of its items, float32 [n, r], unit rows,
            all on the device to train on.
        labels: for each attribute its items' values, as `Triplets` takes them.
        settings: of the training.
        measure: of the heads after an epoch; larger is better.
        advance, checkpoint: as in `train_epochs`.
    """
    device = representations[0].device
    networks = _networks([each.shape[1] for each in representations], settings, device)

    def folded() -> list[Head]:
        return [_folded(each) for each in networks]

    trained = train_epochs(
        networks,
        Triplets(labels),
        settings,
        loss=lambda batch: _loss(networks, representations, batch, settings.margin),
        measure=lambda: measure(folded()),
        snapshot=lambda: [tuple(each) for each in folded()],
        advance=advance,
        checkpoint=checkpoint,
    )
    heads = [Head(*each) for each in trained.best]
    return Training(heads, trained.measure, trained.best_epoch, trained.losses)


def _loss(networks: nn.ModuleList, representations: Sequence[Tensor], batch: Drawn, margin: float) -> Tensor:
    """The mean loss of a batch; the triplets of one attribute go through its network together."""
    losses = []
    for at in np.unique(batch.attribute).tolist():
        of_attribute = batch.attribute == at
        items = np.concatenate([each[of_attribute] for each in batch[1:]])
        rows = representations[at]
        given = networks[at](rows[torch.from_numpy(items).to(rows.device)])
        losses.append(triplet_loss(functional.normalize(given, dim=-1).view(3, -1, given.shape[1]), margin))
    return torch.stack(losses).sum() / len(batch.attribute)


def _networks(widths: Sequence[int], settings: TripletSettings, device: torch.device) -> nn.ModuleList:
    made = nn.ModuleList()
    with torch.random.fork_rng(devices=[]):  # made on the CPU: the same weights on every device
        torch.manual_seed(settings.seed)
        for width in widths:
            hidden = settings.hidden or (width + settings.out) // 2
            layers = nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, settings.out)
            made.append(nn.Sequential(*layers))
    return made.to(device)


@torch.no_grad()
def _folded(network: Any) -> Head:
    """The network in evaluation mode, with batch normalisation folded into its first layer."""
    first, norm, _, second = network
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = (first.bias - norm.running_mean) * factor + norm.bias
    return Head((first.weight * factor[:, None]).T.clone(), bias, second.weight.T.clone(), second.bias.clone())
