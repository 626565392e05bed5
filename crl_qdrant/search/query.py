"""What a user asks: one query, with everything that can be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.common.arguments import checked_filter, finite_number, listed, whole_number
from crl_qdrant.common.images import ImageInput
from crl_qdrant.common.points import path_parts
from crl_qdrant.errors import InputError
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
        for name in ("criterion_weight", "diversity"):
            object.__setattr__(self, name, finite_number(name, getattr(self, name)))
        if self.score_threshold is not None:
            object.__setattr__(self, "score_threshold", finite_number("score_threshold", self.score_threshold))
        if self.strategy not in STRATEGIES:
            raise InputError(f"strategy is one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        checked_filter(self.query_filter)
        if self.search_params is not None and not isinstance(self.search_params, models.SearchParams):
            raise InputError(f"search_params is a qdrant_client.models.SearchParams, got {self.search_params!r:.80}")
        keys = self.with_payload
        if not isinstance(keys, bool) and not (
            isinstance(keys, (list, tuple)) and all(isinstance(each, str) for each in keys)
        ):
            raise InputError(f"with_payload is True, False or a list of keys, got {keys!r:.80}")
        if self.group_by is not None:
            path_parts(self.group_by)
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
            if getattr(self, name) is not None:
                values = listed(name, getattr(self, name))
                if not values:
                    raise InputError(f"{name} is a list with at least one entry, got an empty one")
                object.__setattr__(self, name, values)
        if self.text is not None and (not isinstance(self.text, str) or not self.text.strip()):
            raise InputError(f"text must say something, got {self.text!r}")

    def _check_criteria(self) -> None:
        if isinstance(self.criterion, Mapping):
            if not self.criterion:
                raise InputError("criterion is an empty mapping; give at least one criterion, or None")
            weights = {
                name: finite_number(f"the weight of criterion {name!r}", weight)
                for name, weight in self.criterion.items()
            }
            if not any(weights.values()):
                raise InputError("all criteria have weight 0, so nothing is asked for")
            object.__setattr__(self, "criterion", weights)
        elif self.criterion is not None and not isinstance(self.criterion, str):
            raise InputError(f"criterion is a name, or several with weights, got {self.criterion!r:.80}")
        if self.modifier is not None:
            phrasings = [self.modifier] if isinstance(self.modifier, str) else listed("modifier", self.modifier)
            object.__setattr__(self, "modifier", phrasings)
            if not phrasings or not all(isinstance(each, str) and each.strip() for each in phrasings):
                raise InputError(f"modifier is a text, or a list of phrasings of one; got {self.modifier!r}")
            if isinstance(self.criterion, Mapping):
                raise InputError("a modifier goes with one criterion or none, not with several")

    @property
    def phrasings(self) -> list[str]:
        """The modifier's wordings; none where there is no modifier."""
        return list(self.modifier or [])

    @property
    def weights(self) -> dict[str | None, float]:
        """The criteria asked for, with their weights; None is the raw similarity."""
        if self.criterion is None or isinstance(self.criterion, str):
            return {self.criterion: 1.0}
        return {name: weight for name, weight in self.criterion.items() if weight}
