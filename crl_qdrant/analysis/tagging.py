"""A criterion's words as tags in the payload, for filters: {"crl": {"fabric": "denim", "fabric_score": 0.31}}.

Each batch is compared with what is stored and only what differs is written, under a key of our own: so it can be
stopped and repeated at any time, and nothing else of the payload is touched.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
from qdrant_client import models

from crl_qdrant.common.arguments import whole_number
from crl_qdrant.common.points import Payload
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import PROBABILITY, SCORE, TAGS_KEY
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.stores import Store

__all__ = ["tag"]

_DIGITS: Final = 4


def tag(
    store: Store,
    criteria: Criteria,
    resident: Resident,
    name: str,
    *,
    query_filter: models.Filter | None,
    top: int,
    field: str | None,
    batch_size: int,
    advance: Advance,
) -> int:
    """Write a criterion's words to the payload; `CRLCollection.tag` says what is written and what is raised."""
    from crl_qdrant.search.explain import WordSpace

    top, batch_size = whole_number("top", top, least=1), whole_number("batch_size", batch_size, least=1)
    stored = criteria.find(name)
    key = _checked_field(name if field is None else field, criteria.manifest.criteria.keys() - {name})
    average = resident.sample()
    if not len(average):
        return 0
    words = stored.criterion.words
    space = WordSpace(stored.projection, words, average)
    total, written = store.count(query_filter), 0
    for ids, embeddings in store.scroll(
        vector=criteria.manifest.raw.vector, query_filter=query_filter, batch_size=batch_size
    ):
        known = {record.id: _tags_of(record) for record in store.retrieve(ids, with_payload=[TAGS_KEY])}
        more = space.more(embeddings)
        first = np.argsort(-more, axis=1, kind="stable")[:, :top]
        changed = []
        for point, row, places in zip(ids, more, first, strict=True):
            wanted = _entry(key, [(words[k], round(float(row[k]), _DIGITS)) for k in places if row[k] > 0], top)
            stored_tags = known.get(point)  # None where the point was removed meanwhile
            if stored_tags is not None and any(stored_tags.get(each) != value for each, value in wanted.items()):
                changed.append((point, wanted))
        store.set_payload([point for point, _ in changed], [entry for _, entry in changed], key=TAGS_KEY)
        written += len(changed)
        advance(len(ids), total)
    return written


def _entry(key: str, tags: list[tuple[str, float]], top: int) -> Payload:
    """What a point's tags are to be; None, which removes what is there, where no word says anything of the item."""
    word: Any = None
    score: Any = None
    if tags and top == 1:
        word, score = tags[0]
    elif tags:
        word, score = map(list, zip(*tags, strict=True))
    # a label that was in this place had its probability beside it
    return {key: word, key + SCORE: score, key + PROBABILITY: None}


def _tags_of(record: Any) -> Payload:
    tags = (record.payload or {}).get(TAGS_KEY) or {}
    if not isinstance(tags, dict):
        raise InputError(
            f"the payload of point {record.id} has {TAGS_KEY!r} as {tags!r:.60}, and tags are written below that key; "
            "give that field another name first"
        )
    return tags


def _checked_field(field: Any, others: Collection[str]) -> str:
    """The field, unless a tag of another criterion would be in its place."""
    if not isinstance(field, str) or not field:
        raise InputError(f"field is the name of a payload field, got {field!r}")
    for other in others:
        if {field, field + SCORE} & {other, other + SCORE}:
            raise InputError(
                f"{TAGS_KEY}.{field} would be in the way of the tags of criterion {other!r}; choose another field=…"
            )
    return field
