"""Composed search measured on a shop's own labels: "the same A, but another B", by the weight of the criterion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from crl_qdrant.analysis.average_precision import average_precisions, rank
from crl_qdrant.common.arguments import finite_number, LARGEST_SEED, whole_number
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.errors import InputError

__all__ = ["Composed", "ComposedOptions", "Items", "Samples", "Way", "draw_queries", "measure_composed"]

DEFAULT_WEIGHT: Final = 0.5
"""The search's own weight of a criterion beside a modifier."""
_FEWEST_QUERIES: Final = 20
_FIRST: Final = 10
_NOTHING: Final = 1e-9  # a standard deviation below it tells nothing apart
_LEAST_RATIO: Final = 0.05  # stands for weight 0 where weights are compared by their ratio

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ComposedOptions:
    """Options of `CRLCollection.measure_composed`, checked.

    Attributes:
        limit: queries, at most.
        seed: of the random choice of queries.
        weights: of the criterion; 0 is the text alone.
        sample: items to search among, at most.
    """

    limit: int
    seed: int
    weights: tuple[float, ...]
    sample: int

    def __post_init__(self) -> None:
        for name, least in (("limit", _FEWEST_QUERIES), ("sample", _FEWEST_QUERIES)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least=least))
        object.__setattr__(self, "seed", whole_number("seed", self.seed, least=0, most=LARGEST_SEED))
        weights = tuple(sorted({finite_number("weights", each) for each in self.weights} | {0.0}))
        if weights[0] < 0 or len(weights) < 2:
            raise InputError(f"`weights` must be at least one number above 0 and none below, got {self.weights!r:.80}")
        object.__setattr__(self, "weights", weights)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to search, measured over all queries; errors are standard errors.

    Attributes:
        name: "image alone", "criterion alone", "text alone", or "weight 0.5".
        weight: of the criterion; None without a modifier.
        precision, error: mean average precision in [0, 1].
        first_ten, first_ten_error: share of the first ten hits that are relevant.
        gain, gain_error: difference of the mAP to that of the text alone, over the same queries.
    """

    name: str
    weight: float | None
    precision: float
    error: float
    first_ten: float
    first_ten_error: float
    gain: float
    gain_error: float


@dataclass(frozen=True, slots=True)
class Composed:
    """Composed search "the same A, but another B", by the weight of the criterion.

    Attributes:
        same, other: the payload fields A and B.
        criterion: what keeps A; None for the raw embeddings.
        items: how many were searched among.
        queries: how many were asked.
        relevant: mean number of relevant items of a query.
        ways: the searches without a modifier, the text alone, and each weight.
        recommended: of the weights within one standard error of the best, the nearest to the search's default.
        helps: whether that weight is ahead of the text alone by more than one standard error.
    """

    same: str
    other: str
    criterion: str | None
    items: int
    queries: int
    relevant: float
    ways: tuple[Way, ...]
    recommended: float
    helps: bool

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return asdict(self)


class Items(NamedTuple):
    """Items to search among.

    Attributes:
        same: N labels A; None for an item without one.
        other: N labels B.
        images: raw embeddings [N, d], unit rows.
        conditional: representations by the criterion, [N, r], unit rows; None for the raw embeddings.
    """

    same: list[str | None]
    other: list[str | None]
    images: Float32Array
    conditional: Float32Array | None


class Samples(NamedTuple):
    """The search's sample of the collection in the raw space, [n, d], and the criterion's, [n, r]."""

    images: Float32Array
    conditional: Float32Array


def draw_queries(
    same: Sequence[str | None], other: Sequence[str | None], values: Sequence[str], *, limit: int, seed: int
) -> list[tuple[int, int]]:
    """Query items and the values that they should have instead of their own: positions in the items and in `values`.

    Items are taken in random order. Each gets one of the other values of B, at random, that exists with its own A.

    Raises:
        InputError: if there are fewer than 20 queries.
    """
    rng = np.random.default_rng(seed)
    present = {(a, b) for a, b in zip(same, other, strict=True) if a is not None and b is not None}
    found: list[tuple[int, int]] = []
    for item in rng.permutation(len(same)).tolist():
        a, b = same[item], other[item]
        if a is None or b is None:
            continue
        possible = [at for at, value in enumerate(values) if value != b and (a, value) in present]
        if possible:
            found.append((item, possible[rng.integers(len(possible))]))
        if len(found) == limit:
            break
    if len(found) < _FEWEST_QUERIES:
        raise InputError(
            f"only {len(found)} items have another item with the same A and another B, and {_FEWEST_QUERIES} are "
            "needed; choose fields that more items have"
        )
    return found


def measure_composed(
    fields: tuple[str, str, str | None],
    items: Items,
    texts: Mapping[str, Float32Array],
    samples: Samples,
    options: ComposedOptions,
) -> Composed:
    """Measure the searches, see `CRLCollection.measure_composed`.

    The score is that of the search: w·z(criterion) + z(text), each cosine standardised by its mean and deviation over
    the collection's sample.

    Args:
        fields: the names of A, B and the criterion, for the report.
        items: N items with labels and rows.
        texts: by value of B, the embedding [d] of its modifier, of unit length.
        samples: what cosines are standardised by.
        options: queries and weights.
    """
    values = list(texts)
    queries = draw_queries(items.same, items.other, values, limit=options.limit, seed=options.seed)
    asked = np.array([item for item, _ in queries])
    wanted = [values[at] for _, at in queries]
    same, other = np.array(items.same, dtype=object), np.array(items.other, dtype=object)
    relevant = (same[None] == same[asked][:, None]) & (other[None] == np.array(wanted, dtype=object)[:, None])
    conditional = items.images if items.conditional is None else items.conditional
    modifier = np.stack([texts[value] for value in wanted])
    of_criterion = _standardise(conditional[asked], conditional, samples.conditional)
    of_text = _standardise(modifier, items.images, samples.images)

    measured = {"image alone": _measure(items.images[asked] @ items.images.T, asked, relevant)}
    if items.conditional is not None:
        measured["criterion alone"] = _measure(of_criterion, asked, relevant)
    by_weight = {weight: _measure(weight * of_criterion + of_text, asked, relevant) for weight in options.weights}
    baseline = by_weight[0.0][0]
    ways = (
        *(_way(name, None, each, baseline) for name, each in measured.items()),
        *(_way(_name(weight), weight, each, baseline) for weight, each in by_weight.items()),
    )
    recommended = _recommend({weight: precisions for weight, (precisions, _) in by_weight.items()})
    chosen = next(each for each in ways if each.weight == recommended)
    return Composed(
        *fields,
        items=len(same),
        queries=len(queries),
        relevant=float(relevant.sum(axis=1).mean()),
        ways=ways,
        recommended=recommended,
        helps=chosen.gain > chosen.gain_error,
    )


def _standardise(directions: Float32Array, rows: Float32Array, sample: Float32Array) -> Scores:
    """Cosines [Q, N] of rows with directions, by the mean and deviation of the sample's; 0 where it is all alike."""
    on_sample = (directions @ sample.T).astype(np.float64)
    mean, deviation = on_sample.mean(axis=1, keepdims=True), on_sample.std(axis=1, keepdims=True)
    scores = ((directions @ rows.T) - mean) / np.where(deviation > _NOTHING, deviation, np.inf)
    return np.asarray(scores, dtype=np.float64)


def _measure(scores: Scores, asked: npt.NDArray[np.int64], relevant: npt.NDArray[np.bool_]) -> tuple[Scores, Scores]:
    """Average precision [Q] and share of the first ten that are relevant [Q]; the query itself is left out."""
    ranked = scores.copy()
    ranked[np.arange(len(asked)), asked] = -np.inf
    found = np.take_along_axis(relevant, rank(ranked)[:, :-1], axis=1)
    return average_precisions(found), found[:, :_FIRST].mean(axis=1)


def _name(weight: float) -> str:
    return f"weight {weight:g}" if weight else "text alone"


def _way(name: str, weight: float | None, measured: tuple[Scores, Scores], baseline: Scores) -> Way:
    precisions, first_ten = measured
    pairs = [(float(each.mean()), _error(each)) for each in (precisions, first_ten, precisions - baseline)]
    return Way(name, weight, *pairs[0], *pairs[1], *pairs[2])


def _error(values: Scores) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _recommend(by_weight: Mapping[float, Scores]) -> float:
    """Of the weights within one paired standard error of the best, the nearest to the default by its ratio."""
    best = max(by_weight, key=lambda weight: by_weight[weight].mean())
    near = [
        weight
        for weight, each in by_weight.items()
        if by_weight[best].mean() - each.mean() <= _error(by_weight[best] - each)
    ]
    return min(near, key=lambda weight: abs(math.log(max(weight, _LEAST_RATIO) / DEFAULT_WEIGHT)))
