"""Queries of a store -> Qdrant Edge's requests."""

from __future__ import annotations

import qdrant_edge as edge
from qdrant_client import models

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.stores.edge.filter import edge_filter
from crl_qdrant.stores.store import VectorQuery

__all__ = ["edge_params", "nearest", "prefetch"]


def prefetch(query: VectorQuery) -> edge.Prefetch:
    """A search as the inner one of another.

    Raises:
        FilterError: as `edge_filter`.
    """
    return edge.Prefetch(
        limit=query.limit,
        query=nearest(query.vector, query.using),
        filter=edge_filter(query.query_filter),
        params=None if query.params is None else edge_params(query.params),
    )


def nearest(vector: Float32Array, using: str) -> edge.Query:
    """The query for what is nearest to a vector [size] in a named vector."""
    return edge.Query.Nearest(vector.tolist(), using=using)


def edge_params(params: models.SearchParams) -> edge.SearchParams:
    """The same parameters for Qdrant Edge."""
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
