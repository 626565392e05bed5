"""`CRLCollection`: the one class a user needs."""

from crl_qdrant.collection.analysis import Analysis
from crl_qdrant.collection.content import Content
from crl_qdrant.collection.criteria import Definitions
from crl_qdrant.collection.searching import Searching
from crl_qdrant.collection.upkeep import Upkeep

__all__ = ["CRLCollection"]


class CRLCollection(Analysis, Content, Definitions, Searching, Upkeep):
    """A collection of images in Qdrant that can be searched by criterion.

    Make one with `create`, come back to it with `open`. It may be used from several threads; writes wait for
    each other. It is a context manager that closes itself.
    """
