"""The options of a criterion, which say how its words become a projection, and the presets that name sets of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

import numpy as np

from crl_qdrant.common.arguments import finite_number, whole_number
from crl_qdrant.errors import CriterionError

__all__ = ["PRESETS", "Center", "Directions", "Options", "Suppress"]

Center = Literal["none", "text", "both"]
Directions = int | Literal["knee"]
Suppress = Sequence[str] | Literal["others"]

_LEAST_TEMPERATURE: Final = 1e-6
_MOST_NEIGHBOURS: Final = 100


@dataclass(frozen=True, slots=True)
class Options:
    """From the words' embeddings T [K, d] to conditional representations; `docs/criteria.md` has what each is worth.

    "auto" and `dimensions` are fitted to a sample of the collection's images when the criterion is defined; with fewer
    than 256 images the words take their place until it is defined again.

    Args:
        center: what is taken out first: "none", the mean of the words ("text"), or also the mean of the collection's
            images ("both").
        sharpen: temperature of a softmax over the words, in standard deviations of an image's similarities to them:
            how much of each word an image is, beside how similar it is to each. 0 for the similarities alone; "auto"
            for 1 with 123 words, less with fewer and more with more.
        blend: the sharpened form's share of what is compared by words, in (0, 1]; 1 for the sharpened form alone.
            "auto" for a larger share where the words tell more of the images.
        rest: the plain image's share of the cosine, in [0, 1): what no word sees of it. "auto" for none where the
            words tell the images apart, and up to 0.8 where they hardly do.
        dimensions: the most floats that a representation has, by its principal directions; None keeps them all: r
            for the similarities, K for the sharpened form, d for the rest.
        weighting: exponent p of the singular values in P = V·Sᵖ. 1 is the paper, 0 an orthonormal basis of the
            words' span, -1 the pseudo-inverse.
        energy: share of the squared singular values to keep, in (0, 1].
        rank: how many leading singular directions to keep, "knee" for a cut where the spectrum bends most; None for
            all that `energy` keeps.
        suppress: names of other criteria whose leading directions are taken out of the images, or "others" for all
            that the collection has. With it, `rest="auto"` is 0: the plain image would bring them back.
        suppress_rank: how many directions of each, or "knee".
        tangent: compare in the tangent space at the words' mean, with the images rotated onto it, as CLAY does
            (arXiv 2604.11539).
        smooth: how many of its nearest in the criterion's space `materialize` averages a stored vector with, at most
            100; 0 for none. Queries are not averaged, and neither is what the scan compares.

    Raises:
        CriterionError: if a value is of another type or out of its range; the message names the option.
    """

    center: Center = "text"
    sharpen: float | Literal["auto"] = "auto"
    blend: float | Literal["auto"] = "auto"
    rest: float | Literal["auto"] = "auto"
    dimensions: int | None = 64
    weighting: float = 1.0
    energy: float = 1.0
    rank: Directions | None = None
    suppress: tuple[str, ...] | Literal["others"] = ()
    suppress_rank: Directions = 5
    tangent: bool = False
    smooth: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.center, str) or self.center not in ("none", "text", "both"):
            raise CriterionError(f'`center` must be "none", "text" or "both", got {self.center!r}')
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if not isinstance(self.tangent, (bool, np.bool_)):
            raise CriterionError(f"`tangent` must be True or False, got {self.tangent!r}")
        object.__setattr__(self, "tangent", bool(self.tangent))

    @property
    def needs_images(self) -> bool:
        """Whether the mean of the collection's images is part of the projection."""
        return self.center == "both" or self.tangent

    @property
    def reads_images(self) -> bool:
        """Whether the collection's images, where there are any, shape the projection."""
        return self.needs_images or self.blends_by_lift or self.rest != 0.0 or self.dimensions is not None

    @property
    def blends_by_lift(self) -> bool:
        """Whether the sharpened form's share is found on images."""
        return self.blend == "auto" and self.sharpen != 0.0

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy; `Options.from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Options:
        """The options that `to_dict` wrote; those that an earlier version did not have are off."""
        whole = {**_LATER, **entry}
        return cls(**{each.name: whole[each.name] for each in fields(cls)})


_LATER: Final[Mapping[str, Any]] = {"rest": 0.0, "dimensions": None, "smooth": 0}
"""Options that version 0.1 did not have, with the values that leave its representations as they were."""


def check_names(names: Iterable[str]) -> None:
    """Refuse names that no option has.

    Raises:
        CriterionError: the first such name.
    """
    known = [each.name for each in fields(Options)]
    for name in names:
        if name not in known:
            raise CriterionError(f"there is no option {name!r}; there are {', '.join(known)}")


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _sharpen(name: str, value: Any) -> float | str:
    if _is_auto(value):
        return "auto"
    number = finite_number(name, value, least=0.0, most=100.0, error=CriterionError)
    if 0.0 < number < _LEAST_TEMPERATURE:
        raise CriterionError(
            f'`{name}` must be "auto", 0 (off), or from {_LEAST_TEMPERATURE:g} to 100, got {value!r}; '
            "at less, only the nearest word counts"
        )
    return number


def _weighting(name: str, value: Any) -> float:
    return finite_number(name, value, least=-2.0, most=2.0, error=CriterionError)


def _share(name: str, value: Any) -> float | str:
    """A share above 0, or "auto" for the blend."""
    if name == "blend" and _is_auto(value):
        return "auto"
    return finite_number(name, value, above=0.0, most=1.0, error=CriterionError)


def _rest(name: str, value: Any) -> float | str:
    if _is_auto(value):
        return "auto"
    return 0.0 if value is None else finite_number(name, value, least=0.0, below=1.0, error=CriterionError)


def _dimensions(name: str, value: Any) -> int | None:
    return None if value is None else whole_number(name, value, least=2, error=CriterionError)


def _smooth(name: str, value: Any) -> int:
    return whole_number(name, value, least=0, most=_MOST_NEIGHBOURS, error=CriterionError)


def _rank(name: str, value: Any) -> Directions | None:
    return None if value is None else _suppress_rank(name, value)


def _suppress_rank(name: str, value: Any) -> Directions:
    if isinstance(value, str) and value == "knee":
        return "knee"
    if isinstance(value, str):
        raise CriterionError(f'`{name}` must be a whole number or "knee", got {value!r}')
    return whole_number(name, value, least=1, error=CriterionError)


def _suppress(name: str, suppress: Any) -> tuple[str, ...] | Literal["others"]:
    if isinstance(suppress, str):
        if suppress == "others":
            return "others"
        raise CriterionError(f'`{name}` must be a list of criteria or "others", got {suppress!r}')
    try:
        names = tuple(suppress)
    except TypeError as error:
        raise CriterionError(f'`{name}` must be a list of criteria or "others", got {suppress!r}') from error
    if not all(isinstance(name, str) for name in names):
        raise CriterionError(f"`{name}` must hold names of criteria, got {suppress!r}")
    return tuple(sorted(set(names)))


_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "sharpen": _sharpen,
    "blend": _share,
    "rest": _rest,
    "dimensions": _dimensions,
    "weighting": _weighting,
    "energy": _share,
    "rank": _rank,
    "suppress": _suppress,
    "suppress_rank": _suppress_rank,
    "smooth": _smooth,
}

_SIMILARITIES: Final = Options(sharpen=0.0, blend=0.5, rest=0.0, dimensions=None)
_FORMER: Final = replace(_SIMILARITIES, sharpen=0.5)

PRESETS: Final[Mapping[str, Options]] = {
    "default": Options(),
    "paper": replace(_SIMILARITIES, center="none"),
    "centred": _SIMILARITIES,
    "orthonormal": replace(_SIMILARITIES, weighting=0.0),
    "pseudo-inverse": replace(_SIMILARITIES, weighting=-1.0),
    "compact": replace(_SIMILARITIES, weighting=0.0, energy=0.95),
    "tangent": replace(_SIMILARITIES, weighting=0.0, rank=50, tangent=True),
    "purified": replace(_SIMILARITIES, weighting=0.0, rank="knee", suppress="others", suppress_rank="knee"),
    "suppressed": replace(_FORMER, suppress="others"),
    "suppressed-both": replace(_FORMER, center="both", suppress="others"),
    "default-0.1": _FORMER,
}
"""Named sets of options. "paper" is R = I Tᵀ as it is written (arXiv 2510.04564). "tangent" follows CLAY (arXiv
2604.11539). "purified" is in the manner of OD-CRL (arXiv 2602.05464): its abstract's two ideas, since its formulas were
not at hand. "default-0.1" is what version 0.1 had for its default."""
