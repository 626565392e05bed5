"""The collection's manifest: encoder, criteria and named vectors, kept as entries of the store's metadata.

One entry for the collection (`crl`: raw vectors, encoder, dimension), one for each criterion (`crl.criterion.<name>`),
so that defining a criterion writes that criterion alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.errors import ManifestError
from crl_qdrant.projection.stored import StoredProjection

__all__ = ["CriterionState", "Lineage", "Manifest", "RawVector", "StoredCriterion"]

_FORMAT: Final = 2
_HEAD: Final = "crl"
_CRITERION: Final = "crl.criterion."
_NEXT_CRITERION: Final = "crl.next."
_PREVIOUS_CRITERION: Final = "crl.previous."
# Vectors are dropped by the names in the manifest: a criterion's can never be taken for one with embeddings.
_RAW_NAME: Final = re.compile(r"image(~[1-9]\d{0,8})?")
_CRITERION_NAME: Final = re.compile(r"crl_[^~]+(~[1-9]\d{0,8})?")
_DAMAGE: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class CriterionState(StrEnum):
    """The progress of a criterion's named vector."""

    DEFINED = "defined"
    """No named vector: searched by the scan."""
    BUILDING = "building"
    """`materialize` has begun: new points get the vector, older ones may lack it; searched by the scan."""
    MATERIALIZED = "materialized"
    """Every point has had the vector written; searched by the engine's index."""
    MISSING = "vector missing"
    """Another program removed the named vector: searched by the scan until `materialize` builds it again."""


@dataclass(frozen=True, slots=True)
class StoredCriterion:
    """One version of a criterion as a collection keeps it: with its words' embeddings, projection, and named vector.

    Attributes:
        criterion: with embeddings.
        projection: what it came to when it was defined.
        vector: name of its named vector; another than any other version's.
        context: what the projection owes to other criteria, "" where it owes nothing; see `definition.context`.
        state: the progress of the named vector.
        brought: whether the words' embeddings were given, not made by the collection's encoder.
    """

    criterion: Criterion
    projection: StoredProjection
    vector: str
    context: str = ""
    state: CriterionState = CriterionState.DEFINED
    brought: bool = False

    @property
    def rank(self) -> int:
        """r, the dimensions of its conditional representations."""
        return self.projection.rank

    @property
    def has_vector(self) -> bool:
        """Whether points written now must carry its named vector."""
        return self.state in (CriterionState.BUILDING, CriterionState.MATERIALIZED)

    def in_state(self, state: CriterionState) -> StoredCriterion:
        """The same version in another state."""
        return replace(self, state=state)

    def to_entry(self) -> dict[str, Any]:
        """A JSON-able copy; `from_entry` reads it back."""
        # a missing vector is noticed again by whoever reads the entry
        state = CriterionState.MATERIALIZED if self.state is CriterionState.MISSING else self.state
        return {
            "criterion": self.criterion.to_dict(),
            "projection": self.projection.to_entry(),
            "vector": self.vector,
            "context": self.context,
            "state": state.value,
        } | ({"brought": True} if self.brought else {})

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], *, dimension: int) -> StoredCriterion:
        """The version that `to_entry` wrote, of embeddings of this dimension; ValueError where it is damaged."""
        criterion = Criterion.from_dict(entry["criterion"])
        if criterion.embeddings is None or criterion.embeddings.shape[1] != dimension:
            raise ValueError(f"criterion {criterion.name!r} has no embeddings of {dimension} dimensions")
        return cls(
            criterion,
            StoredProjection.from_entry(entry["projection"], dimension=dimension),
            _matching(_CRITERION_NAME, entry["vector"]),
            _text(entry["context"]),
            CriterionState(entry["state"]),
            entry.get("brought", False) is True,
        )


@dataclass(frozen=True, slots=True)
class Lineage:
    """A criterion's versions: the one that is searched by, the one that is to take its place, and vectors to remove.

    Attributes:
        current: what searches use.
        pending: a changed criterion whose named vector is built beside the current one's; None where there is none.
        retired: named vectors that no search uses any more and that are still to be removed.
    """

    current: StoredCriterion
    pending: StoredCriterion | None = None
    retired: tuple[str, ...] = ()

    @property
    def versions(self) -> list[StoredCriterion]:
        """Current and pending."""
        return [self.current] if self.pending is None else [self.current, self.pending]

    @property
    def latest(self) -> StoredCriterion:
        """Pending, where there is one, or current."""
        return self.pending or self.current

    def with_missing(self, vector_sizes: Mapping[str, int]) -> Lineage:
        """The same, where a version whose named vector is gone, or has another size, is in the state MISSING."""

        def checked(version: StoredCriterion) -> StoredCriterion:
            there = not version.has_vector or vector_sizes.get(version.vector) == version.rank
            return version if there else version.in_state(CriterionState.MISSING)

        return replace(self, current=checked(self.current), pending=self.pending and checked(self.pending))

    def to_entry(self, *, following: bool = False, previous: bool = False) -> dict[str, Any]:
        """Its metadata entry, key and value.

        Args:
            following: among those of a migration under way.
            previous: among those before the last migration.
        """
        value: dict[str, Any] = {"current": self.current.to_entry(), "retired": list(self.retired)}
        if self.pending is not None:
            value["pending"] = self.pending.to_entry()
        return {_prefix(following=following, previous=previous) + self.current.criterion.name: value}

    @classmethod
    def from_value(cls, value: Mapping[str, Any], *, dimension: int) -> Lineage:
        """The versions in a metadata entry's value."""
        pending = value.get("pending")
        return cls(
            StoredCriterion.from_entry(value["current"], dimension=dimension),
            None if pending is None else StoredCriterion.from_entry(pending, dimension=dimension),
            _names(value["retired"]),
        )

    @staticmethod
    def removal(name: str, *, following: bool = False, previous: bool = False) -> dict[str, None]:
        """The metadata entry that removes a criterion; arguments as for `to_entry`."""
        return {_prefix(following=following, previous=previous) + name: None}


@dataclass(frozen=True, slots=True)
class RawVector:
    """The named vector with the raw image embeddings of one encoder, unit length.

    Attributes:
        encoder: the encoder's name; None where embeddings are brought.
        dimension: d.
        vector: the named vector's name.
    """

    encoder: str | None
    dimension: int
    vector: str = "image"

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> RawVector:
        """The raw vectors in a manifest's head; ValueError where it is damaged."""
        encoder, dimension = entry["encoder"], entry["dimension"]
        if type(dimension) is not int or dimension < 1:
            raise ValueError(f"dimension {dimension!r:.99}")
        return cls(None if encoder is None else _text(encoder), dimension, _matching(_RAW_NAME, entry["vector"]))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The raw vectors that are searched by, the criteria over them, and a migration to another encoder.

    Attributes:
        raw: what searches use.
        lineages: the criteria by name.
        following: the raw vectors of a migration under way.
        following_lineages: its criteria by name.
        previous: the raw vectors before the last migration, while they are kept.
        previous_lineages: the criteria over them as they were, by name; their named vectors are in `left`.
        left: named vectors of the criteria before the last migration, while they are kept.
        fields: payload fields outside `crl` that tag, cluster or few_shot has written.
    """

    raw: RawVector
    lineages: Mapping[str, Lineage]
    following: RawVector | None = None
    following_lineages: Mapping[str, Lineage] = field(default_factory=dict)
    previous: RawVector | None = None
    left: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    previous_lineages: Mapping[str, Lineage] = field(default_factory=dict)

    @property
    def encoder(self) -> str | None:
        """The encoder's name."""
        return self.raw.encoder

    @property
    def dimension(self) -> int:
        """d, of the raw vectors."""
        return self.raw.dimension

    @property
    def criteria(self) -> dict[str, StoredCriterion]:
        """The versions that searches use, by the criteria's names."""
        return {name: lineage.current for name, lineage in self.lineages.items()}

    @property
    def is_whole(self) -> bool:
        """Whether no criterion's named vector is missing."""
        every = (version for lineage in self.lineages.values() for version in lineage.versions)
        return all(version.state is not CriterionState.MISSING for version in every)

    @property
    def definitions(self) -> dict[str, Criterion]:
        """The criteria themselves, with their words' embeddings, by name."""
        return {name: stored.criterion for name, stored in self.criteria.items()}

    def vectors_in_use(self) -> set[str]:
        """Every named vector that a criterion has, will have, or has left behind."""
        every = [*self.lineages.values(), *self.following_lineages.values()]
        return {*self.left, *(name for lineage in every for name in lineage.retired)} | {
            version.vector for lineage in every for version in lineage.versions
        }

    def to_entry(self) -> dict[str, Any]:
        """The collection's own metadata entry; criteria have theirs."""
        head: dict[str, Any] = {"format": _FORMAT, "raw": asdict(self.raw), "left": list(self.left)}
        if self.fields:
            head["fields"] = list(self.fields)
        if self.following is not None:
            head["following"] = asdict(self.following)
        if self.previous is not None:
            head["previous"] = asdict(self.previous)
        return {_HEAD: head}

    @classmethod
    def read(cls, metadata: Mapping[str, Any], vector_sizes: Mapping[str, int], *, collection: str) -> Manifest:
        """The manifest in a store's metadata, checked against the vectors that are really there.

        Raises:
            ManifestError: there is none, it is of another format, it is damaged, or the raw vectors are gone.
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
                f"format {_FORMAT}; use the release that wrote it, or make the collection again"
            )
        try:
            manifest = cls._from_entries(head, metadata)
        except _DAMAGE as error:
            raise ManifestError(
                f"the manifest of collection {collection!r} is damaged ({error!r:.300}); "
                "restore the collection's metadata"
            ) from error
        raw = manifest.raw
        if vector_sizes.get(raw.vector) != raw.dimension:
            seen = ", ".join(f"{each} [{length}]" for each, length in vector_sizes.items())
            raise ManifestError(
                f"collection {collection!r} should have a named vector {raw.vector!r} of {raw.dimension} dimensions "
                f"and has {seen or 'none'}; it was changed by another program"
            )
        return replace(
            manifest, lineages={name: each.with_missing(vector_sizes) for name, each in manifest.lineages.items()}
        )

    @classmethod
    def _from_entries(cls, head: Mapping[str, Any], metadata: Mapping[str, Any]) -> Manifest:
        """The manifest in these entries; one of `_DAMAGE` where they cannot be right."""
        following, previous = (
            RawVector.from_entry(head[key]) if key in head else None for key in ("following", "previous")
        )
        raw = RawVector.from_entry(head["raw"])
        manifest = cls(
            raw,
            _lineages(metadata, _CRITERION, raw.dimension),
            following,
            {} if following is None else _lineages(metadata, _NEXT_CRITERION, following.dimension),
            previous,
            _names(head["left"]),
            tuple(_text(each) for each in _list(head.get("fields", []))),
            {} if previous is None else _lineages(metadata, _PREVIOUS_CRITERION, previous.dimension),
        )
        others = [each for each in (following, previous) if each is not None]  # equal on the way back
        if raw.vector in (each.vector for each in others) or len({each.vector for each in others}) < len({*others}):
            raise ValueError(f"the raw vectors {raw}, {following}, {previous} share a named vector")
        every = [*manifest.lineages.values(), *manifest.following_lineages.values()]
        versions = [version for lineage in every for version in lineage.versions]
        twice = [name for name, times in Counter(each.vector for each in versions).items() if times > 1]
        # what is dropped next must be nobody's
        dropped = {*manifest.left, *(name for lineage in every for name in lineage.retired)}
        twice += [each.vector for each in versions if each.has_vector and each.vector in dropped]
        if twice:
            raise ValueError(f"the named vector {twice[0]!r} belongs to two versions")
        return manifest


def _prefix(*, following: bool, previous: bool) -> str:
    return _NEXT_CRITERION if following else _PREVIOUS_CRITERION if previous else _CRITERION


def _lineages(metadata: Mapping[str, Any], prefix: str, dimension: int) -> dict[str, Lineage]:
    found: dict[str, Lineage] = {}
    for key, value in metadata.items():
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            found[name] = Lineage.from_value(value, dimension=dimension)
            if {version.criterion.name for version in found[name].versions} != {name}:
                raise ValueError(f"the entry {key!r} holds another criterion")
    return found


def _names(values: Any) -> tuple[str, ...]:
    return tuple(_matching(_CRITERION_NAME, each) for each in _list(values))


def _list(values: Any) -> list[Any]:
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"a list is {values!r:.99}")
    return list(values)


def _matching(pattern: re.Pattern[str], name: Any) -> str:
    if not pattern.fullmatch(_text(name)):
        raise ValueError(f"a named vector is called {name!r:.99}")
    return str(name)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a text is {value!r:.99}")
    return value
