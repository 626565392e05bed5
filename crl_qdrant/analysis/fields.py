"""Payload fields that `tag`, `cluster` and `few_shot` write: their names, whose they are, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from qdrant_client import models

from crl_qdrant.common.points import at_path, path_parts, Payload, PointId, qdrant_path
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import PROBABILITY, SCORE, SOURCE_KEY, TAGS_KEY
from crl_qdrant.stores import Record, Store, without_value

__all__ = ["Field", "check_free", "check_parent", "claim_field", "field_entry", "write_field"]

_DEEPEST: Final = 16  # parts of a name
_AT_ONCE: Final = 1000
_BESIDE: Final = (SCORE, PROBABILITY)


@dataclass(frozen=True, slots=True)
class Field:
    """A payload field, named as in filters: "brand", "crl.colour" or 'crl."a.b"'.

    Attributes:
        parents: the objects that it is in, outermost first.
        name: its key in the innermost one.
    """

    parents: tuple[str, ...]
    name: str

    @classmethod
    def parse(cls, field: str) -> Self:
        """The field of that name.

        Raises:
            InputError: if it is no such name, a key of our own, or more than 16 parts deep.
        """
        *parents, name = path_parts(field)
        if field in (SOURCE_KEY, TAGS_KEY) or len(parents) >= _DEEPEST:
            raise InputError(
                f"`field` must be another name than {SOURCE_KEY!r} and {TAGS_KEY!r}, of at most {_DEEPEST} parts, got "
                f"{field!r:.80}; choose a field like {TAGS_KEY}.group"
            )
        return cls(tuple(parents), name)

    @classmethod
    def of_criterion(cls, name: str) -> Self:
        """The field that a criterion's tags are in by default: its name below `crl`."""
        return cls((TAGS_KEY,), name)

    @property
    def parent(self) -> str | None:
        """The path of the object that it is in; None at the top of the payload."""
        return qdrant_path(".".join(map(_quoted, self.parents))) if self.parents else None

    @property
    def path(self) -> str:
        """Its name as Qdrant's filters take it."""
        return qdrant_path(".".join(map(_quoted, [*self.parents, self.name])))

    def beside(self, suffix: str) -> Field:
        """The field next to it, for a score: brand and brand_score."""
        return Field(self.parents, self.name + suffix)

    @property
    def neighbours(self) -> tuple[Field, ...]:
        """The fields next to it that hold a score or a probability."""
        return tuple(self.beside(suffix) for suffix in _BESIDE)

    @property
    def roots(self) -> list[str]:
        """The payload's own keys that hold the field and the fields next to it, as Qdrant takes them."""
        if self.parents:
            return [qdrant_path(_quoted(self.parents[0]))]
        return [self.path, *(each.path for each in self.neighbours)]

    def entry_in(self, payload: Payload) -> Payload:
        """The field and those next to it in a payload, by key; None for what is not there."""
        every = (self, *self.neighbours)
        return {each.name: at_path(payload, each.path) for each in every}


def _quoted(part: str) -> str:
    return f'"{part}"'


def check_free(store: Store, criteria: Criteria, field: Field, *, overwrite: bool) -> None:
    """Check that a field may be written.

    Fields below `crl` are always the product's, and so are those that the manifest lists. Any other must be empty.

    Raises:
        InputError: if points have values there that the product did not write, unless `overwrite`.
    """
    if overwrite or _is_ours(criteria, field):
        return
    for each in (field, *field.neighbours):
        values = store.count(models.Filter(must_not=[without_value(each.path)]))
        if values:
            raise InputError(
                f"{values} points have a value in {each.path!r} that crl-qdrant did not write; choose another field, "
                f"like {Field.of_criterion(field.name).path}, or pass overwrite=True"
            )


def claim_field(store: Store, criteria: Criteria, field: Field, *, overwrite: bool) -> None:
    """Check that a field may be written, and list it in the manifest as the product's; errors as `check_free`."""
    check_free(store, criteria, field, overwrite=overwrite)
    if not _is_ours(criteria, field):
        manifest = criteria.manifest
        criteria.write(replace(manifest, fields=(*manifest.fields, field.path)).to_entry())


def _is_ours(criteria: Criteria, field: Field) -> bool:
    return field.parents[:1] == (TAGS_KEY,) or field.path in criteria.manifest.fields


def write_field(
    store: Store, criteria: Criteria, field: Field, ids: Sequence[PointId], values: Sequence[Payload]
) -> None:
    """Give each point a value in a field, and others beside it; the rest of their payloads stays.

    Args:
        store: has the points.
        criteria: their manifest lists the field from then on; `check_free` comes before.
        field: where to write.
        ids: N points.
        values: N payloads by suffix: {"": 7, "_score": 0.5} writes `group` and `group_score`. A score or probability
            that is not given is removed, since it belonged to another value.

    Raises:
        InputError: if a point has something other than an object in place of the field's parent; nothing is written.
    """
    parts = range(0, len(ids), _AT_ONCE)
    for start in parts if field.parents else ():
        for record in store.retrieve(ids[start : start + _AT_ONCE], with_payload=field.roots):
            check_parent(record, field)
    claim_field(store, criteria, field, overwrite=True)
    for start in parts:
        part = slice(start, start + _AT_ONCE)
        store.set_payload(ids[part], [field_entry(field, each) for each in values[part]], key=field.parent)


def field_entry(field: Field, values: Payload) -> Payload:
    """Keys and values to write below the field's parent; None removes."""
    every = {"": None, **dict.fromkeys(_BESIDE), **values}
    return {field.name + suffix: value for suffix, value in every.items()}


def check_parent(record: Record, field: Field) -> None:
    """Check that a point has an object, or nothing, in place of the field's parent.

    Raises:
        InputError: if it has another value.
    """
    value: Any = record.payload or {}
    for part in field.parents:
        value = value.get(part)
        if value is None:
            return
        if not isinstance(value, dict):
            raise InputError(
                f"the payload of point {record.id} has {part!r} as {value!r:.60}, so nothing can be written below it; "
                "choose another field, or give that one another name first"
            )
