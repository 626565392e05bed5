"""The training loop: epochs of triplets, the best one kept, an interrupted training resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn, Tensor

from crl_qdrant.common.progress import Advance
from crl_qdrant.projection.checkpoint import Checkpoint
from crl_qdrant.projection.triplets import Drawn, Triplets, TripletSettings

__all__ = ["Epochs", "train_epochs"]


class Epochs(NamedTuple):
    """Outcome of a training.

    Attributes:
        best: the snapshot of the best epoch; None without a measure.
        measure: that epoch's measure; minus infinity without one.
        best_epoch: its number, from 1; 0 without a measure.
        losses: the mean triplet loss of each epoch.
    """

    best: Any
    measure: float
    best_epoch: int
    losses: list[float]


def train_epochs(
    network: nn.Module,
    triplets: Triplets,
    settings: TripletSettings,
    *,
    loss: Callable[[Drawn], Tensor],
    measure: Callable[[], float] | None,
    snapshot: Callable[[], Any],
    advance: Advance,
    checkpoint: Checkpoint | None = None,
) -> Epochs:
    """Train a network in place with Adam and a stepwise decaying rate, and find the best epoch.

    Args:
        network: its parameters are trained; in evaluation mode while it is measured, and at the end.
        triplets: draws each epoch's triplets.
        settings: how long and how fast.
        loss: the mean loss of a batch of triplets, a scalar with a gradient.
        measure: of the network after an epoch; larger is better. None: no epoch is the best, and all are trained.
        snapshot: a copy of the part of the network to keep, made of what `Checkpoint.save` takes.
        advance: called with 1 after each step, and with the total number of steps.
        checkpoint: where each epoch is saved; an interrupted training resumes from it and ends the same. None: nowhere.

    Raises:
        StoreError: if the checkpoint cannot be read or written.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, settings.decay_every, settings.decay)
    steps = -(-settings.triplets // settings.batch_size)
    parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "schedule": schedule}
    reached = Epochs(None, float("-inf"), 0, [])
    device = next(network.parameters()).device
    if checkpoint is not None and (state := checkpoint.load(device)) is not None:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        reached = Epochs(*(state[name] for name in Epochs._fields))
        advance(len(reached.losses) * steps, settings.epochs * steps)
    while (epoch := len(reached.losses)) < settings.epochs:
        if measure is not None and settings.out_of_patience(epoch - reached.best_epoch):
            break
        network.train()
        total = 0.0
        for batch in triplets.drawn(settings, epoch=epoch).batches(settings.batch_size):
            total += _step(optimizer, loss(batch)) * len(batch.attribute)
            advance(1, settings.epochs * steps)
        schedule.step()
        network.eval()
        reached = reached._replace(losses=[*reached.losses, total / settings.triplets])
        if measure is not None and (found := measure()) > reached.measure:
            reached = reached._replace(best=snapshot(), measure=found, best_epoch=epoch + 1)
        if checkpoint is not None:
            checkpoint.save({name: part.state_dict() for name, part in parts.items()} | reached._asdict())
    network.eval()
    return reached


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())
