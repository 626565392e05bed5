"""Triplets to train on: their settings, how they are drawn, and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from crl_qdrant.common.arguments import finite_number, LARGEST_SEED, whole_number
from crl_qdrant.errors import InputError

__all__ = ["Drawn", "TripletSettings", "Triplets", "triplet_loss"]

IntArray = npt.NDArray[np.int64]

_WIDEST: Final = 65_536  # dimensions of a layer: what a named vector may have


@dataclass(frozen=True, slots=True)
class TripletSettings:
    """Settings of a training; the defaults suit a shop's few thousand labelled items on any machine.

    Attributes:
        out: dimensions of a head's output.
        hidden: dimensions of the hidden layer; None: (in + out) // 2, as in the paper.
        epochs: at most.
        triplets: fresh ones in each epoch.
        batch_size: triplets in one step.
        learning_rate: Adam's, times `decay` after every `decay_every` epochs.
        margin: by how much the cosine to an item of the same value should exceed that to an item of another value.
        patience: epochs without a better measure after which training stops; None: `epochs` are always trained.
        seed: of weights and triplets.

    Raises:
        InputError: if a number is outside its range.
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
        object.__setattr__(self, "out", whole_number("out", self.out, least=1, most=_WIDEST))
        for name in ("epochs", "triplets", "batch_size", "decay_every"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least=1))
        for name, most in (("hidden", _WIDEST), ("patience", None)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole_number(name, getattr(self, name), least=1, most=most))
        object.__setattr__(self, "seed", whole_number("seed", self.seed, least=0, most=LARGEST_SEED))
        object.__setattr__(self, "learning_rate", finite_number("learning_rate", self.learning_rate))
        if not 0 < self.learning_rate <= 1:
            raise InputError(f"`learning_rate` must be above 0 and at most 1, got {self.learning_rate!r}")

    def out_of_patience(self, epochs: int) -> bool:
        """Whether training stops after this many epochs without a better measure."""
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
    """Draws triplets uniformly: an attribute, two of its values, two items of the first and one of the second.

    Args:
        labels: for each attribute the values of its items, numbers from 0 on, int [n]. At least two values, and at
            least one that two items have.
    """

    def __init__(self, labels: Sequence[npt.NDArray[Any]]) -> None:
        self._attributes = [_ByValue.of(each) for each in labels]

    def drawn(self, settings: TripletSettings, *, epoch: int) -> Drawn:
        """An epoch's triplets: other ones for each epoch, and the same ones whenever that epoch is trained."""
        return self.draw(settings.triplets, np.random.default_rng((settings.seed, epoch)))

    def draw(self, number: int, rng: np.random.Generator) -> Drawn:
        """Draw `number` triplets."""
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


def triplet_loss(rows: Tensor, margin: float) -> Tensor:
    """max(0, margin - cos(anchor, positive) + cos(anchor, negative)) of unit rows [3, n, r], summed over n."""
    anchors, positives, negatives = rows
    return functional.relu(margin - (anchors * positives).sum(-1) + (anchors * negatives).sum(-1)).sum()
