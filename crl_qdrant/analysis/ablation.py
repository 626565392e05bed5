"""Options of a criterion measured on labels that a shop has."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.analysis.average_precision import leave_one_out
from crl_qdrant.analysis.precision import Precision
from crl_qdrant.analysis.sample import draw
from crl_qdrant.common.arguments import whole_number
from crl_qdrant.common.arrays import Float32Array, unit_or_zero
from crl_qdrant.common.points import at_path
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.build import projected
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.criteria.sample import sample_images
from crl_qdrant.errors import CriterionError, InputError
from crl_qdrant.projection.options import Options, PRESETS
from crl_qdrant.projection.smoothing import smooth_rows
from crl_qdrant.stores import Store

__all__ = ["VARIATIONS", "Ablation", "Variant", "ablate", "titles"]

VARIATIONS: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    *((preset, {}) for preset in PRESETS),
    ("default", {"dimensions": 128}),
    ("default", {"dimensions": None}),
    ("default", {"rest": 0}),
    ("default", {"blend": 0.5}),
    ("default", {"blend": 1}),
    ("default", {"sharpen": 0.5}),
    ("default", {"sharpen": 1}),
    ("default", {"center": "both"}),
    ("default", {"weighting": 0.25, "energy": 0.98}),
    ("default", {"weighting": 0, "energy": 0.95}),
    ("default", {"smooth": 10}),
    ("suppressed", {"blend": 1}),
)
"""Variants to try: a preset, and options that differ from it."""

_RAW: Final = "raw"
_CURRENT: Final = "as it is"
_DEFAULT: Final = "default"
_EXPANDED: Final = "default, search(expand=5)"
_EXPANSION: Final = 5


@dataclass(frozen=True, slots=True)
class Variant:
    """One set of options, and the precision of finding items of the same label by it.

    Attributes:
        name: preset and options, or "default, search(expand=5)" for an option of the search; "raw" for the plain
            embeddings, "as it is" for current options of its own.
        precision: leave-one-out mAP in [0, 1].
        gain: difference to the reference's precision.
        error: standard error of the gain.
        current: whether these are the criterion's options now.
        preset: to define it with; None for "raw" and "as it is".
        options: the ones that differ from the preset's.
    """

    name: str
    precision: float
    gain: float
    error: float
    current: bool = False
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ablation:
    """The variants of a criterion, measured by how well items of the same label find each other.

    Attributes:
        criterion: its name.
        labels: the payload field with the labels.
        items: number of items compared.
        reference: the variant that gains are measured from: "default", or "raw" if the default cannot be built.
        variants: best first.
        skipped: by name, the reason why a variant could not be measured.
    """

    criterion: str
    labels: str
    items: int
    reference: str
    variants: tuple[Variant, ...]
    skipped: Mapping[str, str]

    @property
    def recommended(self) -> Variant:
        """The best variant that a criterion can have; the default if it is within one standard error of the best."""
        best = next(each for each in self.variants if each.preset is not None or each.current)
        default = next((each for each in self.variants if each.name == _DEFAULT), best)
        return default if best.gain <= best.error else best

    @property
    def helps(self) -> bool:
        """Whether some variant is better by these labels than a search without a criterion."""
        return self.variants[0].name != _RAW

    @property
    def command(self) -> str | None:
        """The command that takes the recommendation; None if the criterion has these options already."""
        chosen = self.recommended
        if chosen.current or chosen.preset is None:
            return None
        options = [f"-o {name}={_as_text(value)}" for name, value in chosen.options.items()]
        return " ".join(["crl-qdrant criteria add", shlex.quote(self.criterion), "--preset", chosen.preset, *options])


def ablate(
    store: Store, criteria: Criteria, name: str, labels: str, *, sample: int, seed: int, advance: Advance
) -> Ablation:
    """Measure the variants of a criterion; `CRLCollection.ablate` has the arguments and errors."""
    sample, seed = whole_number("sample", sample, least=2), whole_number("seed", seed, least=0)
    if not isinstance(labels, str) or not labels:
        raise InputError(f"`labels` must be the name of a payload field, got {labels!r}")
    stored, raw = criteria.find(name), criteria.manifest.raw
    others = criteria.manifest.definitions
    drawn = draw(store, raw, sample, seed=seed, having=labels, with_payload=[labels])
    if not drawn.ids:
        raise InputError(f"no item has a value in {labels!r}; name the payload field with the labels")
    values = [_label(at_path(payload, labels), labels) for payload in drawn.payloads]
    precision = Precision(values, seed=seed)
    if not precision.usable:
        raise InputError(
            f"{len(values)} items have a value in {labels!r}, and too few of them the same one to tell what is found "
            "from what is not; use another field, or a larger sample"
        )
    images = cache(lambda: sample_images(store, raw))
    trials = [_Trial(_RAW, precision.measure(drawn.embeddings))]
    skipped: dict[str, str] = {}
    for preset, changed in VARIATIONS:
        title = _title(preset, changed)
        try:
            candidate = _candidate(stored.criterion, others, preset, changed)
            projection = projected(candidate, others, images)
        except CriterionError as error:
            skipped[title] = str(error)
        else:
            represented = projection.represent(drawn.embeddings)
            measured = _measured(precision, represented, candidate.options)
            trials.append(_Trial(title, measured, candidate.options, preset, changed))
            if title == _DEFAULT:
                trials.append(_Trial(_EXPANDED, precision.measure(represented, _expanded(represented))))
        advance(1, len(VARIATIONS))
    current = stored.criterion.options
    if all(each.options != current for each in trials):
        represented = stored.projection.represent(drawn.embeddings)
        trials.append(_Trial(_CURRENT, _measured(precision, represented, current), current))
    reference = next((each for each in trials if each.name == _DEFAULT), trials[0])
    variants = [each.beside(reference, current) for each in trials]
    variants.sort(key=lambda each: -each.precision)
    return Ablation(name, labels, len(values), reference.name, tuple(variants), skipped)


def titles() -> list[str]:
    """The names of all variants, in the order in which they are tried."""
    every = [_RAW, *(_title(preset, changed) for preset, changed in VARIATIONS)]
    return [*every[:2], _EXPANDED, *every[2:]]


def _measured(precision: Precision, rows: Float32Array, options: Options) -> npt.NDArray[np.float64]:
    """The mAP [1 + halves] of unit rows [N, r] as they are stored: smoothed among the sample, the queries not."""
    if not options.smooth:
        return precision.measure(rows)
    return precision.measure(smooth_rows(rows, options.smooth), rows)


def _expanded(rows: Float32Array) -> Float32Array:
    """The queries that `search(expand=5)` makes of unit rows [N, r]: each with its five nearest, weighted by cosine."""
    queries = rows.copy()
    for asked, order in leave_one_out(rows):
        nearest = rows[order[:, :_EXPANSION]]  # [Q, 5, r]
        weights = np.maximum(np.einsum("qkr,qr->qk", nearest, rows[asked]), 0.0)
        queries[asked] += np.einsum("qk,qkr->qr", weights, nearest)
    return unit_or_zero(queries)


def _title(preset: str, changed: Mapping[str, Any]) -> str:
    return " ".join([preset, *(f"{option}={_as_text(value)}" for option, value in changed.items())])


@dataclass(frozen=True, slots=True)
class _Trial:
    """A variant with its mAP [1 + halves]: of all items, then of each half."""

    name: str
    precisions: npt.NDArray[np.float64]
    options: Options | None = None
    preset: str | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)

    def beside(self, reference: _Trial, current: Options) -> Variant:
        gains = self.precisions - reference.precisions
        error = float(gains[1:].std(ddof=1))
        precision, gain = float(self.precisions[0]), float(gains[0])
        return Variant(self.name, precision, gain, error, self.options == current, self.preset, self.changed)


def _candidate(
    criterion: Criterion, others: Mapping[str, Criterion], preset: str, options: Mapping[str, Any]
) -> Criterion:
    candidate = criterion.with_options(preset, **options)
    if candidate.options.suppress and not others.keys() - {criterion.name}:
        raise CriterionError("the collection has no other criterion to suppress")
    return candidate


def _label(value: Any, field: str) -> object:
    if isinstance(value, (list, dict)):
        raise InputError(
            f"a label must be one value for each item, and {field!r} holds {value!r:.60}; use another field"
        )
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
