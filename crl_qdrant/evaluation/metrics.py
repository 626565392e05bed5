"""Retrieval measures, as pure functions of representations and labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from crl_qdrant.projection import cosine_similarity

__all__ = ["mean_average_precision"]

_QUERIES_AT_ONCE = 256


def mean_average_precision(representations: Tensor, labels: Sequence[object]) -> float:
    """Leave-one-out mAP: every item in turn is the query, all others are ranked by cosine.

    An item is relevant where it has the query's label; queries without any relevant item do not count. Each
    query's average precision is the mean, over its relevant items, of the precision at their ranks.

    Args:
        representations: [N, r], unit rows, any device.
        labels: N hashable values.

    Returns:
        A number in [0, 1]; NaN where no label stands twice.
    """
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    codes = torch.tensor([numbers[label] for label in labels], device=representations.device)
    ranks = torch.arange(1, len(labels), device=representations.device)
    precisions = []
    for start in range(0, len(labels), _QUERIES_AT_ONCE):
        queries = torch.arange(start, min(start + _QUERIES_AT_ONCE, len(labels)), device=representations.device)
        scores = cosine_similarity(representations[queries], representations)
        scores[torch.arange(len(queries)), queries] = -torch.inf  # the query itself comes last and is cut off
        order = scores.argsort(dim=1, descending=True)[:, :-1]
        relevant = (codes[order] == codes[queries, None]).double()
        found = relevant.sum(dim=1)
        at_rank = relevant.cumsum(dim=1) / ranks
        precisions.append(((at_rank * relevant).sum(dim=1) / found)[found > 0])
    return float(torch.cat(precisions).mean())
