"""Which strategy answers a search, and why."""

from __future__ import annotations

from crl_qdrant.errors import InputError
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.query import Query
from crl_qdrant.search.results import Plan
from crl_qdrant.search.space import Space

__all__ = ["choose"]


def choose(space: Space, query: Query, resident: Resident) -> Plan:
    """The plan for one space: what the query asks for, or with "auto" the first of named, scan and rerank that can.

    Raises:
        InputError: the strategy that was asked for cannot be used; the message says what to do.
    """
    exact_index = query.search_params is not None and bool(query.search_params.exact)
    if query.strategy == "auto":
        if space.has_index:
            return Plan("named", exact_index, f"{space.vector} is a named vector of every point")
        fits, sizes = _fits(resident)
        if fits:
            return Plan("scan", True, f"{space.name} is not materialised, and {sizes}")
        return Plan("rerank", False, f"{space.name} is not materialised, and {sizes}")
    if query.strategy == "named" and not space.has_index:
        raise InputError(
            f"criterion {space.name!r} is not materialised; materialize({space.name!r}), or leave strategy out"
        )
    if query.strategy == "scan":
        fits, sizes = _fits(resident)
        if not fits:
            raise InputError(f"the scan cannot be used: {sizes}; raise scan_memory, or leave strategy out")
    exact = {"named": exact_index, "scan": True, "rerank": False}[query.strategy]
    return Plan(query.strategy, exact, "it was asked for")


def _fits(resident: Resident) -> tuple[bool, str]:
    if resident.loaded:  # and let go of when they become too many
        return True, "all embeddings are in memory"
    needed, allowed = resident.bytes_needed(), resident.scan_memory
    fits = needed <= allowed
    verb = "fit in" if fits else "exceed"
    return fits, f"the embeddings' {needed / 1e6:,.0f} MB {verb} scan_memory's {allowed / 1e6:,.0f} MB"
