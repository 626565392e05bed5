"""One query, as a user asks it: checked, and not yet resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final

import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.common.arguments import checked_filter, finite_number, listed, whole_number
from crl_qdrant.common.images import ImageInput
from crl_qdrant.common.points import path_parts
from crl_qdrant.errors import InputError
from crl_qdrant.stores import WithPayload

__all__ = ["CRITERION_WEIGHT", "PAPER_WEIGHT", "SCORINGS", "STRATEGIES", "Query"]

STRATEGIES: Final = ("auto", "named", "scan", "rerank")
SCORINGS: Final = ("standardized", "paper")
CRITERION_WEIGHT: Final = 0.5
"""Default weight of the criteria beside a modifier; 1.0 means equally. docs/search.md says how it was chosen."""
PAPER_WEIGHT: Final = 10.0
"""w of arXiv 2510.04564, section C.3."""

_MOST: Final = 1_000_000  # hits, candidates for each hit, weights
_LEAST_WEIGHT: Final = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Query:
    """A search, with the arguments of `CRLCollection.search`; `search_batch` takes many.

    Raises:
        InputError: if an argument is not what `CRLCollection.search` says; the message names it.
    """

    image: ImageInput | None = None
    embedding: npt.ArrayLike | None = None
    like: Any = None
    text: str | None = None
    images: Sequence[ImageInput] | None = None
    unlike: Sequence[Any] | None = None
    criterion: str | Mapping[str, float] | None = None
    modifier: str | Sequence[str] | npt.ArrayLike | None = None
    criterion_weight: float | None = None
    scoring: str = "standardized"
    limit: int = 10
    offset: int = 0
    query_filter: models.Filter | None = None
    with_payload: WithPayload = True
    score_threshold: float | None = None
    min_closeness: float | None = None
    strategy: str = "auto"
    oversample: int = 10
    search_params: models.SearchParams | None = None
    group_by: str | None = None
    diversity: float = 0.0
    expand: int = 0
    explain: bool = False

    def __post_init__(self) -> None:
        for name, least in (("limit", 1), ("offset", 0), ("oversample", 1), ("expand", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= _MOST:  # nearly never
                number = whole_number(name, value, least=least)
                if number > _MOST:
                    raise InputError(f"`{name}` must be at most {_MOST}, got {number}; ask for less at a time")
                object.__setattr__(self, name, number)
        for name, most in (("score_threshold", None), ("min_closeness", 1.0), ("criterion_weight", float(_MOST))):
            if getattr(self, name) is not None:
                self._check_number(name, 0.0 if most else None, most)
        if type(self.diversity) is not float or not 0.0 <= self.diversity < 1.0:
            object.__setattr__(self, "diversity", finite_number("diversity", self.diversity))
            if not 0.0 <= self.diversity < 1.0:
                raise InputError(f"`diversity` must be at least 0 and below 1, got {self.diversity!r}")
        for name, known in (("strategy", STRATEGIES), ("scoring", SCORINGS)):
            if getattr(self, name) not in known:
                raise InputError(f"`{name}` must be one of {', '.join(known)}, got {getattr(self, name)!r:.80}")
        self._check_engine_options()
        self._check_subject()
        self._check_criteria()

    def _check_number(self, name: str, least: float | None, most: float | None) -> None:
        number = finite_number(name, getattr(self, name))
        if least is not None and most is not None and not least <= number <= most:
            raise InputError(f"`{name}` must be from {least:g} to {most:g}, got {number!r}")
        object.__setattr__(self, name, number)

    def _check_engine_options(self) -> None:
        if self.query_filter is not None:
            checked_filter(self.query_filter)
        if self.search_params is not None and not isinstance(self.search_params, models.SearchParams):
            raise InputError(
                f"`search_params` must be a qdrant_client.models.SearchParams, got {self.search_params!r:.80}"
            )
        keys = self.with_payload
        if not isinstance(keys, bool) and not (
            isinstance(keys, (list, tuple)) and all(isinstance(each, str) for each in keys)
        ):
            raise InputError(f"`with_payload` must be True, False or a list of keys, got {keys!r:.80}")
        if self.group_by is not None:
            path_parts(self.group_by)

    def _check_subject(self) -> None:
        given = [name for name in ("image", "embedding", "like", "text", "images") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(
                f"give one of image, embedding, like, text and images; got {' and '.join(given) or 'none'}"
            )
        for name in ("images", "unlike"):
            if getattr(self, name) is not None:
                values = listed(name, getattr(self, name))
                if not values:
                    raise InputError(f"`{name}` must be a list with at least one entry, got an empty one")
                object.__setattr__(self, name, values)
        if self.text is not None and (not isinstance(self.text, str) or not self.text.strip()):
            raise InputError(f"`text` must be a text that is not blank, got {self.text!r:.80}")
        if self.min_closeness is not None and self.text is not None:
            raise InputError(
                "`min_closeness` compares images with images, and a text is no image; use `score_threshold`, or search "
                "by an image"
            )

    def _check_criteria(self) -> None:
        if isinstance(self.criterion, Mapping):
            if not self.criterion:
                raise InputError("`criterion` must name at least one criterion, got an empty mapping; or pass None")
            object.__setattr__(self, "criterion", {name: _weight(name, x) for name, x in self.criterion.items()})
            if not any(self.criterion.values()):
                raise InputError("`criterion` gives every criterion weight 0; give at least one another weight")
            if self.scoring == "paper" and len(self.weights) > 1:
                raise InputError(
                    "`scoring` must be 'standardized' with several criteria: the paper's formula takes one criterion"
                )
        elif self.criterion is not None and not isinstance(self.criterion, str):
            raise InputError(f"`criterion` must be a name, or a dict of names and weights, got {self.criterion!r:.80}")
        if self.modifier is not None and not self.modifier_is_embedded:
            phrasings = [self.modifier] if isinstance(self.modifier, str) else listed("modifier", self.modifier)
            object.__setattr__(self, "modifier", phrasings)
            if not phrasings or not all(isinstance(each, str) and each.strip() for each in phrasings):
                raise InputError(
                    "`modifier` must be a text, a list of phrasings of one, or a text's embedding, "
                    f"got {self.modifier!r:.80}"
                )

    @property
    def modifier_is_embedded(self) -> bool:
        """Whether the modifier is a text's embedding: an array or tensor, or a list of numbers."""
        first = next(iter(self.modifier), None) if isinstance(self.modifier, (list, tuple)) else None
        return hasattr(self.modifier, "__array__") or isinstance(first, Real)

    @property
    def phrasings(self) -> list[str]:
        """The modifier's phrasings; none without a modifier, or for an embedded one."""
        given: Any = self.modifier
        return [] if given is None or self.modifier_is_embedded else list(given)

    @property
    def weights(self) -> dict[str | None, float]:
        """The criteria that are asked for, with their weights; None is the raw similarity."""
        if self.criterion is None or isinstance(self.criterion, str):
            return {self.criterion: 1.0}
        return {name: weight for name, weight in self.criterion.items() if weight}

    @property
    def weight_beside_modifier(self) -> float:
        """w: the weight of the criteria where there is a modifier."""
        if self.criterion_weight is not None:
            return self.criterion_weight
        return PAPER_WEIGHT if self.scoring == "paper" else CRITERION_WEIGHT


def _weight(name: Any, value: Any) -> float:
    weight = finite_number(f"the weight of criterion {name!r}", value)
    if weight and not _LEAST_WEIGHT <= abs(weight) <= _MOST:
        raise InputError(
            f"the weight of criterion {name!r} must be 0, or from {_LEAST_WEIGHT:g} to {_MOST:g} in size, "
            f"got {weight!r}; only the ratio of weights counts"
        )
    return weight
