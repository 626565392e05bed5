"""The package that only these tasks need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crl_qdrant.errors import MissingPackageError

__all__ = ["scikit_learn"]


@contextmanager
def scikit_learn() -> Iterator[None]:
    """Around imports of scikit-learn: where it is missing, says how to install it.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(f'this needs scikit-learn: pip install "crl-qdrant[tasks]" ({error})') from error
