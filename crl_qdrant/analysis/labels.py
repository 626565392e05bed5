"""Labels of a collection's points, from a payload field or given by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.batches import batches
from crl_qdrant.common.points import at_path, Payload, point_id, PointId
from crl_qdrant.errors import InputError, NotFoundError
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.stores import Store, without_value

__all__ = ["Label", "Labels", "label_text", "labelled_points"]

Label: TypeAlias = "str | int | float | bool"
Labels: TypeAlias = "str | Mapping[Any, Label]"
"""The name of a payload field ("fabric", "crl.group"), or labels by id."""

_AT_ONCE: Final = 1000


def labelled_points(
    store: Store, resident: Resident, labels: Labels, query_filter: models.Filter | None
) -> tuple[dict[PointId, Label], Float32Array]:
    """The points that have a label, and their raw embeddings, float32 [N, d], unit rows, in the same order.

    Args:
        store: has the payloads.
        resident: gives the embeddings.
        labels: a payload field, or labels by id.
        query_filter: the points to look for the field in.

    Raises:
        InputError: if `labels` is neither a field nor a mapping, an id is invalid, there is no label, or a label is a
            list or an object.
        NotFoundError: if one of the ids has no point, or none with an image embedding.
    """
    wanted = _checked(store, labels, query_filter)
    ids: list[PointId] = []
    pages: list[Float32Array] = []
    for batch in batches(wanted, _AT_ONCE):
        found, rows = resident.embeddings_of(batch)
        ids += found
        pages += [rows] if found else []
    there = set(ids)
    missing = [each for each in wanted if each not in there]
    if missing and (isinstance(labels, Mapping) or not ids):
        raise NotFoundError(
            f"{len(missing)} of {len(wanted)} labelled points are not there or have no image embedding, the first: "
            f"{missing[0]!r}"
        )
    return {each: wanted[each] for each in ids}, np.concatenate(pages)


def _checked(store: Store, labels: Labels, query_filter: models.Filter | None) -> dict[PointId, Label]:
    if isinstance(labels, Mapping):
        # NumPy's numbers and truths are as good as Python's
        found = {
            point_id(each): label.item() if isinstance(label, np.generic) else label for each, label in labels.items()
        }
    elif isinstance(labels, str) and labels:
        found = dict(_of_field(store, labels, query_filter))
    else:
        raise InputError(
            f"`labels` must be the name of a payload field or a mapping from ids to labels, got {labels!r:.80}"
        )
    for each, label in found.items():
        if not isinstance(label, (str, int, float, bool)):
            raise InputError(f"a label must be one text, number or truth value; point {each!r} has {label!r:.80}")
    if not found:
        where = f"no point has a value in the payload field {labels!r}" if isinstance(labels, str) else "there are none"
        raise InputError(f"there must be labels, and {where}")
    return found


def _of_field(store: Store, field: str, query_filter: models.Filter | None) -> Iterable[tuple[PointId, Any]]:
    given = models.Filter(
        must=None if query_filter is None else [query_filter],
        must_not=[without_value(field)],
    )
    for batch in batches((each for page in store.scroll_ids(given) for each in page), _AT_ONCE):
        for record in store.retrieve(batch, with_payload=[field]):
            value = at_path(record.payload or {}, field)
            if value is not None:
                yield record.id, value


def label_text(payload: Payload | None, field: str) -> str | None:
    """The label in a payload field, as text; None if there is none.

    Raises:
        InputError: if it is a list or an object.
    """
    value = at_path(payload or {}, field)
    if isinstance(value, (list, dict)):
        raise InputError(f"a label must be one text, number or truth value, and {field!r} holds {value!r:.60}")
    return None if value is None or value == "" else str(value)
