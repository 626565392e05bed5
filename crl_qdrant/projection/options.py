"""How a criterion's words become a projection: the options of one criterion, and the presets that name sets of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

import numpy as np

from crl_qdrant.common.arguments import finite_number, whole_number
from crl_qdrant.errors import CriterionError

__all__ = ["PRESETS", "Center", "Directions", "Options", "Suppress"]

Center = Literal["none", "text", "both"]
Directions = int | Literal["knee"]
Suppress = Sequence[str] | Literal["others"]


@dataclass(frozen=True, slots=True)
class Options:
    """From the words' embeddings T [K, d] to conditional representations; `docs/criteria.md` has what each is worth.

    Args:
        center: what is taken out first: "none", the mean of the words ("text"), or also the mean of the collection's
            images ("both").
        sharpen: temperature of a softmax over the words, in standard deviations of an image's similarities to them:
            how much of each word an image is, beside how similar it is to each. 0 for the similarities alone.
        blend: the sharpened form's share of the cosine, in (0, 1]; 1 for the sharpened form alone. Representations
            have r dimensions for the similarities, K for the sharpened form, r + K for both.
        weighting: exponent p of the singular values in P = V·Sᵖ. 1 is the paper, 0 an orthonormal basis of the
            words' span, -1 the pseudo-inverse.
        energy: share of the squared singular values to keep, in (0, 1].
        rank: how many leading singular directions to keep, "knee" for a cut where the spectrum bends most; None for
            all that `energy` keeps.
        suppress: names of other criteria whose leading directions are taken out of the images, or "others" for all
            that the collection has.
        suppress_rank: how many directions of each, or "knee".
        tangent: compare in the tangent space at the words' mean, with the images rotated onto it, as CLAY does
            (arXiv 2604.11539).

    Raises:
        CriterionError: a value that cannot be; the message names the option.
    """

    center: Center = "text"
    sharpen: float = 0.5
    blend: float = 0.5
    weighting: float = 1.0
    energy: float = 1.0
    rank: Directions | None = None
    suppress: tuple[str, ...] | Literal["others"] = ()
    suppress_rank: Directions = 5
    tangent: bool = False

    def __post_init__(self) -> None:
        if self.center not in ("none", "text", "both"):
            raise CriterionError(f'center is "none", "text" or "both", got {self.center!r}')
        for name, least, most in (("sharpen", 0.0, 100.0), ("weighting", -2.0, 2.0)):
            value = finite_number(name, getattr(self, name), least=least, most=most, error=CriterionError)
            object.__setattr__(self, name, value)
        for name in ("blend", "energy"):
            value = finite_number(name, getattr(self, name), above=0.0, most=1.0, error=CriterionError)
            object.__setattr__(self, name, value)
        for name, optional in (("rank", True), ("suppress_rank", False)):
            object.__setattr__(self, name, _directions(name, getattr(self, name), optional))
        object.__setattr__(self, "suppress", _names(self.suppress))
        if not isinstance(self.tangent, (bool, np.bool_)):
            raise CriterionError(f"tangent is True or False, got {self.tangent!r}")
        object.__setattr__(self, "tangent", bool(self.tangent))

    @property
    def needs_images(self) -> bool:
        """Whether the mean of the collection's images is part of the projection."""
        return self.center == "both" or self.tangent

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy; `Options.from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Options:
        """The options that `to_dict` wrote."""
        return cls(**{each.name: entry[each.name] for each in fields(cls)})


def check_names(names: Iterable[str]) -> None:
    """Refuse what is no option's name.

    Raises:
        CriterionError: the first such name.
    """
    known = [each.name for each in fields(Options)]
    for name in names:
        if name not in known:
            raise CriterionError(f"there is no option {name!r}; there are {', '.join(known)}")


def _directions(name: str, value: Any, optional: bool) -> Any:
    if value == "knee" or (optional and value is None):
        return value
    if isinstance(value, str):
        raise CriterionError(f'`{name}` must be a whole number or "knee", got {value!r}')
    return whole_number(name, value, least=1, error=CriterionError)


def _names(suppress: Any) -> tuple[str, ...] | Literal["others"]:
    if isinstance(suppress, str):
        if suppress == "others":
            return "others"
        raise CriterionError(f'suppress is a list of criteria or "others", got {suppress!r}')
    try:
        names = tuple(suppress)
    except TypeError as error:
        raise CriterionError(f'suppress is a list of criteria or "others", got {suppress!r}') from error
    if not all(isinstance(name, str) for name in names):
        raise CriterionError(f"suppress must hold names of criteria, got {suppress!r}")
    return tuple(sorted(set(names)))


PRESETS: Final[Mapping[str, Options]] = {
    "default": Options(),
    "paper": Options(center="none", sharpen=0.0),
    "centred": Options(sharpen=0.0),
    "orthonormal": Options(sharpen=0.0, weighting=0.0),
    "pseudo-inverse": Options(sharpen=0.0, weighting=-1.0),
    "compact": Options(sharpen=0.0, weighting=0.0, energy=0.95),
    "tangent": Options(sharpen=0.0, weighting=0.0, rank=50, tangent=True),
    "purified": Options(sharpen=0.0, weighting=0.0, rank="knee", suppress="others", suppress_rank="knee"),
    "suppressed": Options(suppress="others"),
    "suppressed-both": Options(center="both", suppress="others"),
}
"""Named sets of options. "paper" is R = I Tᵀ as it is written (arXiv 2510.04564). "tangent" follows CLAY (arXiv
2604.11539). "purified" is in the manner of OD-CRL (arXiv 2602.05464): its abstract's two ideas, since its formulas were
not at hand."""
