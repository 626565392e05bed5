"""What is asked of a store -> Qdrant Edge's requests."""

from __future__ import annotations

import qdrant_edge as edge
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.stores.edge.filter import edge_filter
from crl_qdrant.stores.store import selector, VectorQuery

__all__ = ["edge_request", "nearest", "prefetch"]


def edge_request(query: VectorQuery) -> edge.QueryRequest:
    """The request for a search.

    Raises:
        FilterError: as `edge_filter`.
    """
    return edge.QueryRequest(
        limit=query.limit,
        query=nearest(query.vector, query.using),
        filter=edge_filter(query.query_filter),
        with_payload=selector(query.with_payload),
        params=None if query.params is None else _params(query.params),
    )


def prefetch(query: VectorQuery) -> edge.Prefetch:
    """The same search as the inner one of another.

    Raises:
        FilterError: as `edge_filter`.
    """
    return edge.Prefetch(
        limit=query.limit,
        query=nearest(query.vector, query.using),
        filter=edge_filter(query.query_filter),
        params=None if query.params is None else _params(query.params),
    )


def nearest(vector: Float32Array, using: str) -> edge.Query:
    """The query for what is nearest to a vector [size] in a named vector."""
    return edge.Query.Nearest(vector.tolist(), using=using)


def _params(params: models.SearchParams) -> edge.SearchParams:
    quantization, acorn = params.quantization, params.acorn
    return edge.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        indexed_only=bool(params.indexed_only),
        quantization=None
        if quantization is None
        else edge.QuantizationSearchParams(
            ignore=bool(quantization.ignore), rescore=quantization.rescore, oversampling=quantization.oversampling
        ),
        acorn=None
        if acorn is None
        else edge.AcornSearchParams(enable=bool(acorn.enable), max_selectivity=acorn.max_selectivity),
    )
