"""Where points are compared: the raw embeddings, or one criterion's conditional representations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.criteria.manifest import CriterionState, StoredCriterion
from crl_qdrant.criteria.registry import Criteria

if TYPE_CHECKING:
    from crl_qdrant.projection.on_device import Projection

__all__ = ["RAW", "Space"]

RAW = "image"
"""What the raw embeddings' space is called among the scores of a hit."""


@dataclass(frozen=True, slots=True)
class Space:
    """The raw space, or a criterion's.

    Attributes:
        criteria: the collection's criteria.
        stored: the criterion; None for the raw space.
    """

    criteria: Criteria
    stored: StoredCriterion | None

    @classmethod
    def of(cls, criteria: Criteria, name: str | None) -> Space:
        """The space of a criterion's name, or of None.

        Raises:
            NotFoundError: no such criterion.
        """
        return cls(criteria, None if name is None else criteria.find(name))

    @property
    def name(self) -> str:
        """The criterion's name, or "image"."""
        return RAW if self.stored is None else self.stored.criterion.name

    @property
    def vector(self) -> str:
        """The named vector that holds the representations, where there is one."""
        return self.criteria.manifest.raw.vector if self.stored is None else self.stored.vector

    @property
    def has_index(self) -> bool:
        """Whether every point has that named vector."""
        return self.stored is None or self.stored.state is CriterionState.MATERIALIZED

    @property
    def key(self) -> str:
        """What changes with the representations."""
        return RAW if self.stored is None else self.stored.projection.key

    @property
    def projection(self) -> Projection | None:
        """The criterion's, on the device; None in the raw space."""
        return None if self.stored is None else self.criteria.projector.projection(self.stored.projection)

    def represent(self, embeddings: Float32Array) -> Float32Array:
        """Representations [N, r] of unit embeddings [N, d], unit rows."""
        return (
            embeddings if self.stored is None else self.criteria.projector.project(self.stored.projection, embeddings)
        )
