"""A store that fails at a call, on Edge and on a client alike, and what a collection's store holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from crl_qdrant import CRLCollection
from crl_qdrant.stores import Store
from crl_qdrant.stores.client import ClientStore
from crl_qdrant.stores.edge.store import EdgeStore


def store_of(products: CRLCollection) -> Store:
    """The collection's store: the only place in the tests that knows where it is."""
    return products._store


@contextmanager
def failing_store(
    call: str, error: BaseException, *, at: int = 1, carried_out: bool = False
) -> Iterator[list[tuple[Any, ...]]]:
    """Let stores raise at their call of that name and number, and carry out the calls before it.

    Args:
        call: the method's name.
        error: what is raised.
        at: the number of the call, from 1.
        carried_out: whether the call is carried out before it raises, as when Ctrl-C comes during the engine's work.

    Yields:
        The arguments of each call that was carried out, without the store.
    """
    calls = list[tuple[Any, ...]]()
    with pytest.MonkeyPatch.context() as patch:
        for kind in (EdgeStore, ClientStore):
            patch.setattr(kind, call, _failing(getattr(kind, call), error, at, carried_out, calls))
        yield calls


def _failing(method: Any, error: BaseException, at: int, carried_out: bool, calls: list[tuple[Any, ...]]) -> Any:
    def wrapped(store: Store, *arguments: Any, **options: Any) -> Any:
        fails = len(calls) >= at - 1
        if fails and not carried_out:
            raise error
        result = method(store, *arguments, **options)
        calls.append(arguments)
        if fails:
            raise error
        return result

    return wrapped
