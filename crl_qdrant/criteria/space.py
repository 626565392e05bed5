"""A space in which points are compared: the raw embeddings', or one criterion's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from crl_qdrant.common.arrays import Float32Array, Rows
from crl_qdrant.projection.projector import Projector
from crl_qdrant.projection.stored import StoredProjection

__all__ = ["RAW", "Space"]

RAW: Final = "image"
"""The raw embeddings' name among the scores of a hit."""


@dataclass(frozen=True, slots=True)
class Space:
    """The raw space, or a criterion's; `Criteria.space` makes it.

    Attributes:
        name: the criterion's name, or "image".
        vector: the named vector that holds the representations, where there is one.
        indexed: whether every point has that named vector.
        projection: turns embeddings into representations; None in the raw space.
        projector: applies the projection to many rows.
        words: the criterion's words; none in the raw space.
        smooth: how many neighbours the vectors in the named vector are averaged with; 0 for none.
    """

    name: str
    vector: str
    indexed: bool
    projection: StoredProjection | None
    projector: Projector
    words: tuple[str, ...] = ()
    smooth: int = 0

    @property
    def key(self) -> str:
        """A text that changes with the representations."""
        return RAW if self.projection is None else self.projection.key

    @property
    def rank(self) -> int:
        """Dimensions of a criterion's representations; 0 in the raw space."""
        return 0 if self.projection is None else self.projection.rank

    def represent_few(self, embeddings: Rows) -> Rows:
        """The same as `represent`, in NumPy and in the precision of the embeddings: a search wakes no device for it."""
        return embeddings if self.projection is None else self.projection.represent(embeddings)

    def represent(self, embeddings: Float32Array) -> Float32Array:
        """Representations [N, r] of unit embeddings [N, d], unit rows."""
        return embeddings if self.projection is None else self.projector.project(self.projection, embeddings)
