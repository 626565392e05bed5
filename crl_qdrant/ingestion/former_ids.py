"""Ids of keys in a store that an older version may have written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crl_qdrant.common.keys import former_ids_of_key, has_key, id_of_key
from crl_qdrant.common.points import PointId
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import Item
from crl_qdrant.stores import Store

__all__ = ["items_with_stored_ids", "stored_ids"]


def stored_ids(store: Store, keys: Sequence[str]) -> list[PointId]:
    """Return the ids of keys: today's, or where only an older version has stored a key's point, that one's.

    Raises:
        InputError: if a key is not a text.
        StoreError: if the store refuses.
    """
    today = [id_of_key(key) for key in keys]
    former = [former_ids_of_key(key) for key in keys]
    asked = {each for ids in former for each in ids} | {own for own, ids in zip(today, former, strict=True) if ids}
    if not asked:
        return today
    records = {each.id: each.payload for each in store.retrieve(list(asked), with_payload=True)}
    found: list[PointId] = []
    for key, own, ids in zip(keys, today, former, strict=True):
        older = [each for each in ids if each in records and has_key(records[each], key)]
        found.append(own if own in records or not older else older[0])
    return found


def items_with_stored_ids(store: Store, items: Sequence[Item]) -> list[Item]:
    """Return the items; one whose key an older version has stored under another id has that id.

    Raises:
        StoreError: if the store refuses.
    """
    # an id that is a number is the key's own, and always was
    moved = [at for at, item in enumerate(items) if isinstance(item.id, str) and _may_be_stored_otherwise(item)]
    if not moved:
        return list(items)
    ids = stored_ids(store, [str(items[at].key) for at in moved])
    found = list(items)
    for at, point in zip(moved, ids, strict=True):
        found[at] = replace(items[at], id=point)
    return found


def _may_be_stored_otherwise(item: Item) -> bool:
    if not isinstance(item.key, str):
        return False
    try:
        return item.id == id_of_key(item.key) and bool(former_ids_of_key(item.key))
    except InputError:
        return False
