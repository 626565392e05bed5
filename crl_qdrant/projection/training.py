"""Heads trained on triplets: what has the same value is to be nearer than what has another. Knows no database.

The head, its loss and its optimiser are those of the paper's fashion retrieval (arXiv 2510.04564, section D.3).
Several heads can be trained together, one for each attribute, as they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn, Tensor
from torch.nn import functional

from crl_qdrant.common.arguments import finite_number, LARGEST_SEED, whole_number
from crl_qdrant.common.progress import Advance
from crl_qdrant.errors import InputError
from crl_qdrant.projection.checkpoint import Checkpoint
from crl_qdrant.projection.on_device import Head

__all__ = ["Drawn", "Training", "TripletSettings", "Triplets", "train_heads", "triplet_loss"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TripletSettings:
    """How heads are trained; the defaults are for a shop's few thousand labelled items, on any machine.

    Attributes:
        out: dimensions of a head's output.
        hidden: dimensions of the hidden layer; None: (in + out) // 2, as in the paper.
        epochs: at most.
        triplets: fresh ones in each epoch.
        batch_size: triplets in one step.
        learning_rate: Adam's, times `decay` after every `decay_every` epochs.
        margin: by how much the cosine with what has the same value is to exceed that with what has another.
        patience: epochs without a better measure after which training ends; None: never before `epochs`.
        seed: of weights and triplets.

    Raises:
        InputError: a number that cannot be.
    """

    out: int = 128
    hidden: int | None = None
    epochs: int = 40
    triplets: int = 10_000
    batch_size: int = 256
    learning_rate: float = 1e-3
    decay: float = 0.9
    decay_every: int = 3
    margin: float = 0.3
    patience: int | None = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("out", "epochs", "triplets", "batch_size", "decay_every"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least=1))
        for name in ("hidden", "patience"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole_number(name, getattr(self, name), least=1))
        object.__setattr__(self, "seed", whole_number("seed", self.seed, least=0, most=LARGEST_SEED))
        object.__setattr__(self, "learning_rate", finite_number("learning_rate", self.learning_rate))
        if not 0 < self.learning_rate <= 1:
            raise InputError(f"learning_rate must be above 0 and at most 1, got {self.learning_rate!r}")

    def out_of_patience(self, epochs: int) -> bool:
        """Whether training ends after so many epochs without a better measure."""
        return self.patience is not None and epochs >= self.patience


class Drawn(NamedTuple):
    """Triplets: the attribute of each, int64 [n], and positions among that attribute's items, int64 [n]."""

    attribute: IntArray
    anchor: IntArray
    positive: IntArray
    negative: IntArray

    def batches(self, size: int) -> list[Drawn]:
        """The same triplets in parts of `size`, the last one shorter."""
        return [Drawn(*(each[at : at + size] for each in self)) for at in range(0, len(self.attribute), size)]


class Triplets:
    """Draws triplets: an attribute, two of its values, two items of the one value and one of the other; all uniform.

    Args:
        labels: for each attribute the values of its items, numbers from 0 on, int [n]. At least two values, and at
            least one that two items have.
    """

    def __init__(self, labels: Sequence[npt.NDArray[Any]]) -> None:
        self._attributes = [_ByValue.of(each) for each in labels]

    def drawn(self, settings: TripletSettings, *, epoch: int) -> Drawn:
        """An epoch's triplets: fresh ones for each, and the same whenever that epoch is trained."""
        return self.draw(settings.triplets, np.random.default_rng((settings.seed, epoch)))

    def draw(self, number: int, rng: np.random.Generator) -> Drawn:
        """So many triplets."""
        attribute = rng.integers(len(self._attributes), size=number)
        found = np.empty((3, number), dtype=np.int64)
        for at, values in enumerate(self._attributes):
            chosen = np.flatnonzero(attribute == at)
            found[:, chosen] = values.draw(len(chosen), rng)
        return Drawn(attribute, *found)


class _ByValue(NamedTuple):
    """One attribute's items ordered by value."""

    order: IntArray  # items [n]
    start: IntArray  # where each value's items begin in that order
    size: IntArray  # how many items each value has
    pairs: IntArray  # the values that at least two items have

    @classmethod
    def of(cls, labels: npt.NDArray[Any]) -> _ByValue:
        size = np.bincount(labels)
        return cls(np.argsort(labels, kind="stable"), np.cumsum(size) - size, size, np.flatnonzero(size >= 2))

    def draw(self, number: int, rng: np.random.Generator) -> IntArray:
        """Anchors, positives and negatives, [3, number]."""
        same = self.pairs[rng.integers(len(self.pairs), size=number)]
        other = rng.integers(len(self.size) - 1, size=number)
        other += other >= same
        anchor = rng.integers(self.size[same])
        positive = (anchor + 1 + rng.integers(self.size[same] - 1)) % self.size[same]
        negative = self.start[other] + rng.integers(self.size[other])
        places = np.stack([self.start[same] + anchor, self.start[same] + positive, negative])
        return np.asarray(self.order[places])


class Training(NamedTuple):
    """Trained heads, one for each attribute.

    Attributes:
        heads: those of the best epoch.
        measure: what was measured of them.
        best_epoch: which one that was, from 1 on.
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
    """Heads Linear–BatchNorm–ReLU–Linear, trained together; the best of all epochs by `measure`.

    Args:
        representations: for each attribute the conditional representations of its items, float32 [n, r], unit rows,
            all on the device to train on.
        labels: for each attribute its items' values, as `Triplets` takes them.
        settings: how.
        measure: of the heads after an epoch; the larger the better.
        advance: called with 1 after each epoch.
        checkpoint: where each epoch is kept, and what was stopped is gone on with, to the same end. None: nowhere.
    """
    device = representations[0].device
    networks = _networks([each.shape[1] for each in representations], settings, device)
    optimizer = torch.optim.Adam(networks.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, settings.decay_every, settings.decay)
    triplets = Triplets(labels)
    best, losses = Training([], float("-inf"), 0, []), list[float]()
    if checkpoint is not None and (state := checkpoint.load(device)) is not None:
        networks.load_state_dict(state["networks"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        best = Training([Head(*each) for each in state["heads"]], state["measure"], state["best_epoch"], [])
        losses = state["losses"]
        advance(len(losses), settings.epochs)
    while len(losses) < settings.epochs and not settings.out_of_patience(len(losses) - best.best_epoch):
        networks.train()
        total = 0.0
        for batch in triplets.drawn(settings, epoch=len(losses)).batches(settings.batch_size):
            loss = _loss(networks, representations, batch, settings.margin)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss.detach()) * len(batch.attribute)
        schedule.step()
        losses.append(total / settings.triplets)
        heads = [_folded(each) for each in networks]
        found = measure(heads)
        if found > best.measure:
            best = Training(heads, found, len(losses), [])
        if checkpoint is not None:
            checkpoint.save(
                {
                    "networks": networks.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "heads": [tuple(each) for each in best.heads],
                    "measure": best.measure,
                    "best_epoch": best.best_epoch,
                    "losses": losses,
                }
            )
        advance(1, settings.epochs)
    return best._replace(losses=losses)


def triplet_loss(rows: Tensor, margin: float) -> Tensor:
    """max(0, margin - cos(anchor, positive) + cos(anchor, negative)) of unit rows [3, n, r], summed over n."""
    anchors, positives, negatives = rows
    return functional.relu(margin - (anchors * positives).sum(-1) + (anchors * negatives).sum(-1)).sum()


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
    """The network as it is in evaluation, batch normalisation a part of its first layer."""
    first, norm, _, second = network
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = (first.bias - norm.running_mean) * factor + norm.bias
    return Head((first.weight * factor[:, None]).T.clone(), bias, second.weight.T.clone(), second.bias.clone())
