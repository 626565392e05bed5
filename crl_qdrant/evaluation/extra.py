"""The packages that only the evaluation needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from crl_qdrant.errors import MissingPackageError

__all__ = ["check_evaluation_packages", "evaluation_packages"]


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


def check_evaluation_packages() -> None:
    """Import all of them, so that a long run does not find out at its end.

    Raises:
        MissingPackageError: a package is not installed.
    """
    with evaluation_packages():
        for name in ("matplotlib", "scipy", "sklearn"):
            import_module(name)
