"""What a collection remembers of itself, as entries of the store's metadata.

One entry for the collection (`crl`: encoder, dimension), one for each criterion (`crl.criterion.<name>`), so that
defining a criterion writes that criterion alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

import numpy as np

from crl_qdrant.criterion import Criterion
from crl_qdrant.embeddings import Float32Array, from_base64, to_base64
from crl_qdrant.errors import ManifestError

__all__ = ["IMAGE_VECTOR", "CriterionState", "Manifest", "StoredCriterion"]

IMAGE_VECTOR: Final = "image"
"""The named vector that holds the raw image embeddings, unit length."""

_FORMAT: Final = 1
_HEAD: Final = "crl"
_CRITERION: Final = "crl.criterion."


class CriterionState(str, Enum):
    """How far a criterion's named vector has come."""

    DEFINED = "defined"
    """No named vector: searched by the scan."""
    BUILDING = "building"
    """`materialize` has begun: new points get the vector, older ones may lack it; searched by the scan."""
    MATERIALIZED = "materialized"
    """Every point has had the vector written; searched by the engine's index."""


@dataclass(frozen=True, slots=True)
class StoredCriterion:
    """A criterion as a collection keeps it: with its words' embeddings and projection, and what has become of it.

    P is kept, not computed again from the words: a singular vector's sign, and any rotation among equal singular
    values, are the choice of the machine that computed it, and named vectors were written with one choice.
    """

    criterion: Criterion
    fingerprint: str
    projection: Float32Array  # P, [d, r]
    state: CriterionState = CriterionState.DEFINED
    scale: float = field(init=False)  # P's norm

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(np.linalg.norm(self.projection)))

    @property
    def rank(self) -> int:
        """r, the dimensions of its conditional representations."""
        return int(self.projection.shape[1])

    @property
    def has_vector(self) -> bool:
        """Whether points written now must carry its named vector."""
        return self.state is not CriterionState.DEFINED

    def in_state(self, state: CriterionState) -> StoredCriterion:
        """The same criterion in another state."""
        return replace(self, state=state)

    def to_entry(self) -> dict[str, Any]:
        """Its metadata entry, key and value."""
        value = {
            "criterion": self.criterion.to_dict(),
            "fingerprint": self.fingerprint,
            "projection": to_base64(self.projection),
            "state": self.state.value,
        }
        return {_CRITERION + self.criterion.name: value}

    @staticmethod
    def removal(name: str) -> dict[str, None]:
        """The metadata entry that removes a criterion."""
        return {_CRITERION + name: None}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The encoder's name (None: embeddings are brought), the dimension of the raw vectors, and the criteria."""

    encoder: str | None
    dimension: int
    criteria: Mapping[str, StoredCriterion]

    def to_entry(self) -> dict[str, Any]:
        """The collection's own metadata entry; criteria have theirs."""
        return {_HEAD: {"format": _FORMAT, "encoder": self.encoder, "dimension": self.dimension}}

    @classmethod
    def read(cls, metadata: Mapping[str, Any], vector_sizes: Mapping[str, int], *, collection: str) -> Manifest:
        """The manifest in a store's metadata, checked against the vectors that are really there.

        Raises:
            ManifestError: there is none, it is of a later format, or the collection lacks a vector it names.
        """
        head = metadata.get(_HEAD)
        if not isinstance(head, Mapping):
            raise ManifestError(
                f"collection {collection!r} was not made by crl-qdrant: its metadata has no entry {_HEAD!r}. "
                "Make a collection with CRLCollection.create and copy the embeddings into it with add(embeddings=…)"
            )
        if head.get("format") != _FORMAT:
            raise ManifestError(
                f"collection {collection!r} has manifest format {head.get('format')!r}, and this crl-qdrant reads "
                f"format {_FORMAT}; upgrade it"
            )
        try:
            encoder, dimension = head["encoder"], int(head["dimension"])
            entries = [value for key, value in metadata.items() if key.startswith(_CRITERION)]
            stored = [_stored(value, dimension) for value in entries]
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(
                f"the manifest of collection {collection!r} is damaged ({error!r}); restore the collection's metadata"
            ) from error
        manifest = cls(encoder, dimension, {each.criterion.name: each for each in stored})
        expected = {IMAGE_VECTOR: manifest.dimension}
        expected |= {s.criterion.vector_name: s.rank for s in stored if s.state is CriterionState.MATERIALIZED}
        for name, size in expected.items():
            if vector_sizes.get(name) != size:
                seen = ", ".join(f"{each} [{length}]" for each, length in vector_sizes.items())
                raise ManifestError(
                    f"collection {collection!r} should have a named vector {name!r} of {size} dimensions "
                    f"and has {seen or 'none'}; it was changed by another program"
                )
        return manifest


def _stored(value: Mapping[str, Any], dimension: int) -> StoredCriterion:
    projection = from_base64(value["projection"], rows=dimension)
    state = CriterionState(value["state"])
    return StoredCriterion(Criterion.from_dict(value["criterion"]), value["fingerprint"], projection, state)
