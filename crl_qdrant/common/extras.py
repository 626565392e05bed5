"""Packages that only a part of the library needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crl_qdrant.errors import MissingPackageError

__all__ = ["needed"]


@contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
    """Wrap imports: where a package is missing, the error says how to install it.

    Args:
        what: "scikit-learn", for the message.
        extra: the extra of this package that brings it.

    Raises:
        MissingPackageError: if it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(f'this needs {what}: pip install "crl-qdrant[{extra}]" ({error})') from error
