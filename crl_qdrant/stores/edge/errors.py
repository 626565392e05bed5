"""Qdrant Edge's errors, translated into ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from crl_qdrant.errors import CRLError, LockedError, StoreError

__all__ = ["raise_translated", "translated"]


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Edge raises bare Exceptions with good texts: keep the text, give it a type and say what was being done."""
    try:
        yield
    except BaseException as error:
        raise_translated(action, error)


def raise_translated(action: str, error: BaseException) -> NoReturn:
    """Raise an error of ours for one of Edge's; what is not Edge's is raised as it is."""
    if isinstance(error, CRLError):
        raise error
    # a panic of the engine is no Exception in Python; Ctrl-C is none either, and is not ours
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    text = str(error)
    if "WouldBlock" in text or isinstance(error, BlockingIOError):
        raise LockedError(
            f"{action}: the collection is open already, in another process or in another object of this one; "
            "close that first, or run a Qdrant server and pass its URL as location where several processes need it"
        ) from error
    if "Shard is not initialized" in text:
        raise StoreError(f"{action}: this collection was closed; open it again") from error
    raise StoreError(f"{action}: {text}") from error
