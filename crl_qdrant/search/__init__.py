"""Ways to find points by criterion."""

from crl_qdrant.search.hit import Hit

__all__ = ["Hit"]
