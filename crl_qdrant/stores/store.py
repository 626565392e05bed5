"""The calls we need of a vector store. Two implementations: Qdrant Edge and qdrant-client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import Payload, PointId, qdrant_path

__all__ = ["Record", "Scored", "Store", "VectorQuery", "WithPayload", "selector", "without_value"]

WithPayload = bool | list[str]


def selector(with_payload: WithPayload) -> WithPayload:
    """The wanted part of a payload, its keys as Qdrant has them."""
    return with_payload if isinstance(with_payload, bool) else [qdrant_path(key) for key in with_payload]


def without_value(field: str) -> models.IsEmptyCondition:
    """The condition that a point has no value in a field of its payload."""
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=qdrant_path(field)))


class Scored(NamedTuple):
    """A point found by a search."""

    id: PointId
    score: float
    payload: Payload | None


class VectorQuery(NamedTuple):
    """A search for the points nearest to vector [size] in the named vector `using`; filters are checked before."""

    vector: Float32Array
    using: str
    limit: int
    query_filter: models.Filter | None = None
    with_payload: WithPayload = False
    params: models.SearchParams | None = None


class Record(NamedTuple):
    """A stored point; `vector` is one named vector [d], where one was asked for and the point has it."""

    id: PointId
    payload: Payload | None
    vector: list[float] | None


class Store(Protocol):
    """One collection in a vector store. Every method may raise StoreError; writes return when they are durable."""

    @property
    def shared(self) -> bool:
        """Whether other processes can change the collection while it is open here."""

    def metadata(self) -> dict[str, Any]:
        """The JSON values kept with the collection."""

    def update_metadata(self, entries: Mapping[str, Any]) -> None:
        """Set these keys in one step and leave the others; a value of None removes its key."""

    def vector_sizes(self) -> dict[str, int]:
        """The collection's named vectors and their dimensions."""

    def create_vector(self, name: str, size: int) -> None:
        """Add a named vector, compared by cosine, to the live collection; nothing where it is there already."""

    def drop_vector(self, name: str) -> None:
        """Remove a named vector from the collection and all its points; nothing where it is not there."""

    def upsert(self, ids: Sequence[PointId], vectors: Mapping[str, Float32Array], payloads: Sequence[Payload]) -> None:
        """Write N whole points; each of `vectors` is [N, size]."""

    def update_vectors(self, ids: Sequence[PointId], vectors: Mapping[str, Float32Array]) -> None:
        """Write named vectors, each of them rows [N, size], of N points that exist; their other vectors stay."""

    def set_payload(self, ids: Sequence[PointId], payloads: Sequence[Payload], *, key: str | None) -> None:
        """Merge one payload each into the object that N points, which exist, have under the payload key `key`.

        Other keys, in that object and beside it, stay; a value of None removes its key. Without a `key` they are
        merged into the points' whole payloads.
        """

    def delete(self, ids: Sequence[PointId]) -> None:
        """Remove points; ids that are not there are no error."""

    def count(self, query_filter: models.Filter | None = None) -> int:
        """Exact number of points that match."""

    def query(self, query: VectorQuery) -> list[Scored]:
        """The points nearest to a vector, best first."""

    def query_batch(self, queries: Sequence[VectorQuery]) -> list[list[Scored]]:
        """The answers to several queries, in one round trip."""

    def rescore(
        self, candidates: Sequence[VectorQuery], by: Sequence[tuple[Float32Array, str]]
    ) -> list[dict[PointId, float]]:
        """Of all points that the candidate queries find, the cosine with each vector of `by` in its named vector.

        A nested query, for the engine computes the scores: a flat one would give a point 0 for each query that did not
        find it.
        """

    def retrieve(
        self, ids: Sequence[PointId], *, vector: str | None = None, with_payload: WithPayload = True
    ) -> list[Record]:
        """Read the points that exist, in no particular order."""

    def scroll(
        self, *, vector: str, query_filter: models.Filter | None = None, batch_size: int = 1024
    ) -> Iterator[tuple[list[PointId], Float32Array]]:
        """All matching points that have the named vector, in batches: ids and rows [B, size]."""

    def scroll_ids(self, query_filter: models.Filter | None = None) -> Iterator[list[PointId]]:
        """Ids of all matching points, in batches."""

    def optimize(self) -> None:
        """Build the engine's indexes now; nothing where the engine does so by itself."""

    def close(self) -> None:
        """Let go of files and connections; further calls are errors."""
