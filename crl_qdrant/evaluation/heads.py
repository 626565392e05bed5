"""The paper's heads for fashion retrieval (arXiv 2510.04564, D.3), stage 1: CLIP frozen, its features cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.progress import Advance
from crl_qdrant.errors import InputError
from crl_qdrant.evaluation.attribute_retrieval import attribute_precision
from crl_qdrant.evaluation.metrics import weighted_mean
from crl_qdrant.projection.checkpoint import Checkpoint
from crl_qdrant.projection.on_device import Head
from crl_qdrant.projection.training import train_heads
from crl_qdrant.projection.triplets import TripletSettings

__all__ = ["STAGE_1", "Labelled", "mean_precision", "train_paper_heads"]

STAGE_1: Final = TripletSettings(
    out=1024, epochs=1000, triplets=100_000, batch_size=256, learning_rate=1e-4, patience=None, seed=4
)
"""The paper's settings of stage 1; hidden=(in + out) // 2, margin 0.3, StepLR(3, 0.9) are in the defaults."""


class Labelled(NamedTuple):
    """Items that are listed under an attribute: conditional representations [n, r], unit rows, and values, int64 [n].

    The paper's are of the words that `fashion.reduced_words` gives, 97 for every attribute.
    """

    representations: Float32Array
    values: npt.NDArray[np.int64]


def mean_precision(attributes: Iterable[tuple[Labelled, Labelled]]) -> float:
    """The mean over all queries of their average precision, from each attribute's queries and candidates."""
    found, counts = [], []
    for queries, candidates in attributes:
        found.append(attribute_precision(*queries, *candidates))
        counts.append(len(queries.values))
    return weighted_mean(found, counts)


def train_paper_heads(
    train: Mapping[str, Labelled],
    queries: Mapping[str, Labelled],
    candidates: Mapping[str, Labelled],
    *,
    settings: TripletSettings = STAGE_1,
    device: torch.device | None = None,
    advance: Advance = lambda items, total=None: None,
    checkpoint: Checkpoint | None = None,
) -> tuple[dict[str, Head], float]:
    """Stage 1: one head for each attribute, trained together; those of the best epoch by validation mAP.

    A triplet is of a random attribute, its values are two random ones. That anchors, positives and negatives of one
    attribute go through its batch normalisation together is our choice.

    Args:
        train: by attribute, what to train on.
        queries, candidates: by attribute, what to validate by.
        settings: of the training; the paper's by default.
        device: where to train; None: the CPU.
        advance, checkpoint: as in `train_epochs`.

    Returns:
        Heads on that device by attribute, and their validation mAP: the mean over all queries.

    Raises:
        InputError: if an attribute has a single value, or none that two items share.
    """
    names = list(train)
    place = device or torch.device("cpu")
    values = [np.unique(train[name].values, return_inverse=True)[1] for name in names]
    for name, each in zip(names, values, strict=True):
        if len(each) == 0 or each.max() < 1 or np.bincount(each).max() < 2:
            raise InputError(f"attribute {name!r} needs two values at least, and one of them in two items")

    def given(head: Head, items: Labelled) -> Labelled:
        rows = head(torch.from_numpy(items.representations).to(place))
        return items._replace(representations=np.asarray(rows.cpu().numpy()))

    def measure(heads: Sequence[Head]) -> float:
        return mean_precision(
            (given(head, queries[name]), given(head, candidates[name])) for name, head in zip(names, heads, strict=True)
        )

    rows = [torch.from_numpy(train[name].representations).to(place) for name in names]
    training = train_heads(rows, values, settings, measure=measure, advance=advance, checkpoint=checkpoint)
    return dict(zip(names, training.heads, strict=True)), training.measure
