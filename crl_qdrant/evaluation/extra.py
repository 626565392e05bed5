"""The packages that only the evaluation needs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module

from crl_qdrant.common.extras import needed

__all__ = ["check_evaluation_packages", "evaluation_packages"]


def evaluation_packages() -> AbstractContextManager[None]:
    """Around imports of scikit-learn, SciPy and matplotlib; raises as `needed`."""
    return needed("packages of the evaluation", "evaluation")


def check_evaluation_packages() -> None:
    """Import all of them, so that a long run does not find out at its end.

    Raises:
        MissingPackageError: if a package is not installed.
    """
    with evaluation_packages():
        for name in ("matplotlib", "scipy", "sklearn"):
            import_module(name)
