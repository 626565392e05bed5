"""A collection belongs to the process that opened it: a fork or a copy of it is refused, before anything can hang.

A forked child has the parent's locks as they were, none of its threads, and the same files and connections: Qdrant Edge
would hang in it, or write what it knew at the fork over what the parent wrote since.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final, NoReturn
from weakref import WeakSet

from crl_qdrant.errors import StoreError

__all__ = ["OneProcess"]

_ADVICE: Final = "open it there: CRLCollection.open(name, location=…) after the fork, once in each process"
_OPEN: Final[WeakSet[OneProcess]] = WeakSet()


class OneProcess:
    """An object whose attributes can be used in the process that called `_belong_here`, and in no fork of it.

    Attributes:
        name: the collection's name.
    """

    name: str

    def _belong_here(self) -> None:
        self._process = os.getpid()
        _OPEN.add(self)

    @property
    def _is_forked(self) -> bool:
        return self._process != os.getpid()

    def _require_process(self) -> None:
        """Raises StoreError in a fork of the process."""
        if self._is_forked:
            _refuse(self.name, self._process)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise StoreError(f"collection {self.name!r} cannot be copied, pickled or passed to another process; {_ADVICE}")

    def _give_up(self) -> None:
        for attribute, value in list(vars(self).items()):
            if attribute not in ("name", "_process"):
                # never freed in this process: what Edge knew at the fork would be written to disk then
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
                setattr(self, attribute, _Forked(self.name, self._process))


class _Forked:
    """Takes the place of a collection's parts in a forked process, and refuses every use."""

    def __init__(self, name: str, process: int) -> None:
        self._refused = name, process

    def __getattr__(self, attribute: str) -> NoReturn:
        _refuse(*self._refused)

    def __enter__(self) -> NoReturn:
        _refuse(*self._refused)

    def __exit__(self, *error: object) -> None:
        """Never reached."""


def _refuse(name: str, process: int) -> NoReturn:
    raise StoreError(f"collection {name!r} was opened in process {process} and is used in {os.getpid()}; {_ADVICE}")


def _after_fork() -> None:
    for each in list(_OPEN):
        each._give_up()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
