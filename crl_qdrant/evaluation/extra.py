"""The packages that only the evaluation needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crl_qdrant.errors import MissingPackageError

__all__ = ["evaluation_packages"]


@contextmanager
def evaluation_packages() -> Iterator[None]:
    """Around imports of scikit-learn, SciPy and matplotlib: where one is missing, says how to install them.

    Raises:
        MissingPackageError: a package is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(
            f'this needs packages of the evaluation: pip install "crl-qdrant[evaluation]" ({error})'
        ) from error
