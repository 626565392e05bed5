"""A head for one criterion, trained on a shop's own labels and compared with the criterion without it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crl_qdrant.analysis.average_precision import label_codes, mean_average_precision
from crl_qdrant.analysis.labels import Label
from crl_qdrant.common.arguments import finite_number
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.manifest import StoredCriterion
from crl_qdrant.errors import InputError
from crl_qdrant.projection.stored_head import StoredHead

if TYPE_CHECKING:
    import torch

    from crl_qdrant.projection.triplets import TripletSettings

__all__ = ["HeadReport", "train_head"]

_FEWEST_OF_A_LABEL: Final = 4  # a pair to train on and a pair to validate with


@dataclass(frozen=True, slots=True)
class HeadReport:
    """Outcome of training a head.

    Attributes:
        criterion: its name.
        labels: number of different labels.
        trained_on: number of items it was trained on.
        validated_on: number of items held out to measure it.
        raw: leave-one-out mAP of the held-out items by the raw embeddings, in [0, 1].
        training_free: the same by the criterion without a head.
        head: the same with the head. The best epoch is chosen by this figure, so it is slightly optimistic.
        kept: whether the criterion now has the head, because it is better than no head.
        out: dimensions of its output, and so of the criterion's next named vector.
        epochs: number of epochs trained.
        best_epoch: the epoch that was kept.
        seconds: duration.
    """

    criterion: str
    labels: int
    trained_on: int
    validated_on: int
    raw: float
    training_free: float
    head: float
    kept: bool
    out: int
    epochs: int
    best_epoch: int
    seconds: float


def train_head(
    version: StoredCriterion,
    embeddings: Float32Array,
    labels: Sequence[Label],
    settings: TripletSettings,
    *,
    validation: float,
    device: torch.device,
    advance: Advance,
) -> tuple[StoredHead, HeadReport]:
    """Train a head and report on it, see `CRLCollection.train_head`.

    Args:
        version: of the criterion; a head that it already has is not used.
        embeddings: [N, d], unit rows.
        labels: N labels.
        settings: of the training.
        validation: share of the items to measure by, in (0, 1).
        device: where to train.
        advance: moves the progress bar.

    Raises:
        InputError: if fewer than two labels have four items, or the share is not in (0, 1).
    """
    import torch

    from crl_qdrant.common.device import one_thread
    from crl_qdrant.projection.training import train_heads

    started = time.perf_counter()
    codes = label_codes(labels)
    train, held_out = _split(codes, labels, validation, settings.seed)
    rows = torch.from_numpy(version.projection.conditional(embeddings)).to(device)
    values = codes[held_out].tolist()

    def precision(representations: torch.Tensor) -> float:
        return mean_average_precision(representations.cpu().numpy(), values)

    with one_thread():
        training = train_heads(
            [rows[train]],
            [np.unique(codes[train], return_inverse=True)[1]],
            settings,
            measure=lambda heads: precision(heads[0](rows[held_out])),
            advance=advance,
        )
    free = precision(rows[held_out])
    head = StoredHead(*(np.asarray(each.cpu().numpy()) for each in training.heads[0]))
    report = HeadReport(
        criterion=version.criterion.name,
        labels=len(set(labels)),
        trained_on=len(train),
        validated_on=len(held_out),
        raw=mean_average_precision(embeddings[held_out], values),
        training_free=free,
        head=training.measure,
        kept=training.measure > free,
        out=head.out,
        epochs=len(training.losses),
        best_epoch=training.best_epoch,
        seconds=time.perf_counter() - started,
    )
    return head, report


def _split(
    codes: npt.NDArray[Any], labels: Sequence[Label], validation: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions to train on and to validate with: a share of each label with four items or more, and at least two."""
    validation = finite_number("validation", validation, above=0, below=1)
    counts = Counter(labels)
    enough = [label for label, number in counts.items() if number >= _FEWEST_OF_A_LABEL]
    if len(enough) < 2:
        seen = ", ".join(f"{label!r} {number}" for label, number in counts.most_common(5))
        raise InputError(
            f"training a head needs at least two labels with {_FEWEST_OF_A_LABEL} items each; there are: {seen}"
        )
    rng = np.random.default_rng(seed)
    held_out = []
    for code in range(len(counts)):
        members = rng.permutation(np.flatnonzero(codes == code))
        if len(members) >= _FEWEST_OF_A_LABEL:
            number = min(max(2, round(validation * len(members))), len(members) - 2)
            held_out += members[:number].tolist()
    chosen = np.sort(np.array(held_out, dtype=np.int64))
    return np.setdiff1d(np.arange(len(codes)), chosen), chosen
