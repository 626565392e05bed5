"""What a user asks: one query, with everything that can be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.checks import whole_number
from crl_qdrant.errors import FilterError, InputError
from crl_qdrant.images import ImageInput
from crl_qdrant.stores import WithPayload

__all__ = ["STRATEGIES", "Query"]

STRATEGIES = ("auto", "named", "scan", "rerank")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Query:
    """A search, as `CRLCollection.search` takes it; `search_batch` takes many.

    Raises:
        InputError: a value that cannot be; the message names it.
    """

    image: ImageInput | None = None
    embedding: npt.ArrayLike | None = None
    like: Any = None
    text: str | None = None
    images: Sequence[ImageInput] | None = None
    unlike: Sequence[Any] | None = None
    criterion: str | Mapping[str, float] | None = None
    modifier: str | Sequence[str] | None = None
    criterion_weight: float = 10.0
    limit: int = 10
    offset: int = 0
    query_filter: models.Filter | None = None
    with_payload: WithPayload = True
    score_threshold: float | None = None
    strategy: str = "auto"
    oversample: int = 10
    search_params: models.SearchParams | None = None
    group_by: str | None = None
    diversity: float = 0.0
    explain: bool = False

    def __post_init__(self) -> None:
        for name, least in (("limit", 1), ("offset", 0), ("oversample", 1)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least=least))
        if self.strategy not in STRATEGIES:
            raise InputError(f"strategy is one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        if self.query_filter is not None and not isinstance(self.query_filter, models.Filter):
            raise FilterError(f"query_filter is a qdrant_client.models.Filter, got {type(self.query_filter).__name__}")
        if not isinstance(self.with_payload, (bool, list, tuple)):
            raise InputError(f"with_payload is True, False or a list of keys, got {self.with_payload!r}")
        if not 0.0 <= self.diversity < 1.0:
            raise InputError(f"diversity must be at least 0 and below 1, got {self.diversity!r}")
        if not self.criterion_weight >= 0.0:
            raise InputError(f"criterion_weight must not be negative, got {self.criterion_weight!r}")
        self._check_what_is_asked()
        self._check_criteria()

    def _check_what_is_asked(self) -> None:
        given = [name for name in ("image", "embedding", "like", "text", "images") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(
                f"give one of image, embedding, like, text and images; got {' and '.join(given) or 'none'}"
            )
        for name in ("images", "unlike"):
            values = getattr(self, name)
            if values is not None and (isinstance(values, (str, bytes)) or not len(values)):
                raise InputError(f"{name} is a list with at least one entry, got {values!r:.80}")
        if self.text is not None and (not isinstance(self.text, str) or not self.text.strip()):
            raise InputError(f"text must say something, got {self.text!r}")

    def _check_criteria(self) -> None:
        if isinstance(self.criterion, Mapping):
            if not self.criterion:
                raise InputError("criterion is an empty mapping; give at least one criterion, or None")
            for name, weight in self.criterion.items():
                if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not abs(weight) < float("inf"):
                    raise InputError(f"the weight of criterion {name!r} must be a number, got {weight!r}")
            if not any(self.criterion.values()):
                raise InputError("all criteria have weight 0, so nothing is asked for")
        if self.modifier is not None:
            phrasings = self.phrasings
            if not phrasings or not all(isinstance(each, str) and each.strip() for each in phrasings):
                raise InputError(f"modifier is a text, or a list of phrasings of one; got {self.modifier!r}")
            if isinstance(self.criterion, Mapping):
                raise InputError("a modifier goes with one criterion or none, not with several")

    @property
    def phrasings(self) -> list[str]:
        """The modifier's wordings; none where there is no modifier."""
        if self.modifier is None:
            return []
        return [self.modifier] if isinstance(self.modifier, str) else list(self.modifier)

    @property
    def weights(self) -> dict[str | None, float]:
        """The criteria asked for, with their weights; None is the raw similarity."""
        if isinstance(self.criterion, Mapping):
            return {name: weight for name, weight in self.criterion.items() if weight}
        return {self.criterion: 1.0}
