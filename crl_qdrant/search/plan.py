"""Which strategy answers a search, and why."""

from __future__ import annotations

from collections.abc import Sequence

from crl_qdrant.criteria.space import Space
from crl_qdrant.errors import InputError
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.query import Query
from crl_qdrant.search.results import Plan

__all__ = ["choose_plan", "tell_unsmoothed"]


def tell_unsmoothed(plan: Plan, spaces: Sequence[Space]) -> Plan:
    """The plan; where it compares a smoothed criterion by the embeddings, its reason says so."""
    smoothed = ", ".join(space.name for space in spaces if space.smooth)
    if plan.strategy == "named" or not smoothed:
        return plan
    said = f"{plan.strategy}: {smoothed} without smoothing; materialize applies it"
    return Plan(plan.strategy, plan.exact, f"{plan.reason} ({said})")


def choose_plan(query: Query, spaces: Sequence[Space], resident: Resident) -> Plan:
    """The strategy that the query asks for, or with "auto" the first of named, scan and rerank that can be used.

    Several spaces are searched by one strategy. With "named" or "rerank" only candidates of such a search are scored,
    so it is not exact; the scan scores every point.

    Raises:
        InputError: if the strategy that was asked for cannot be used; the message says what to do.
    """
    return tell_unsmoothed(_choose(query, spaces, resident), spaces)


def _choose(query: Query, spaces: Sequence[Space], resident: Resident) -> Plan:
    lacking = [space.name for space in spaces if not space.indexed]
    combined = len(spaces) > 1 or query.modifier is not None or all(weight < 0 for weight in query.weights.values())
    # what is unlike in some respect is looked for among what is alike overall, and the paper's norms are of candidates
    scans_all = not combined or (query.scoring != "paper" and _looks_for_something(query))
    exact_index = not combined and query.search_params is not None and bool(query.search_params.exact)
    if query.strategy == "auto":
        if not lacking:
            vectors = ", ".join(space.vector for space in spaces)
            are = "is a named vector" if len(spaces) == 1 else "are named vectors"
            return Plan("named", exact_index, f"{vectors} {are} of every point")
        fits, sizes = _fits(resident)
        reason = f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not materialized, and {sizes}"
        return Plan("scan", scans_all, reason) if fits else Plan("rerank", False, reason)
    if query.strategy == "named" and lacking:
        raise InputError(
            f"criterion {lacking[0]!r} is not materialized, so there is no index of it; "
            f"call materialize({lacking[0]!r}), or leave `strategy` out"
        )
    if query.strategy == "scan":
        fits, sizes = _fits(resident)
        if not fits:
            raise InputError(f"the scan cannot be used: {sizes}; raise `scan_memory`, or leave `strategy` out")
    exact = {"named": exact_index, "scan": scans_all, "rerank": False}[query.strategy]
    return Plan(query.strategy, exact, "it was asked for")


def _looks_for_something(query: Query) -> bool:
    return query.modifier is not None or any(weight > 0 for weight in query.weights.values())


def _fits(resident: Resident) -> tuple[bool, str]:
    if resident.loaded:  # and released when they become too many
        return True, "all embeddings are in memory"
    needed, allowed = resident.bytes_needed(), resident.scan_memory
    fits = needed <= allowed
    verb = "fit in" if fits else "exceed"
    return fits, f"the embeddings' {needed / 1e6:,.0f} MB {verb} scan_memory's {allowed / 1e6:,.0f} MB"
