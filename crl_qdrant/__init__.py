"""Conditional visual search for Qdrant: alike in one respect (this fabric, this colour), not overall.

Importing this package loads none of its parts; each is loaded when its name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, TYPE_CHECKING

if TYPE_CHECKING:
    from crl_qdrant.analysis.ablation import Ablation, Variant
    from crl_qdrant.analysis.clustering import Cluster, Clustering
    from crl_qdrant.analysis.few_shot import FewShot
    from crl_qdrant.analysis.heads import HeadReport
    from crl_qdrant.analysis.inspection import Inspection, WordUse
    from crl_qdrant.collection import CRLCollection
    from crl_qdrant.collection.aio import AsyncCRLCollection
    from crl_qdrant.collection.info import CollectionInfo, CriterionInfo
    from crl_qdrant.common.images import path_below
    from crl_qdrant.common.keys import id_of_key
    from crl_qdrant.criteria.criterion import Criterion
    from crl_qdrant.criteria.manifest import CriterionState
    from crl_qdrant.encoders import Encoder
    from crl_qdrant.errors import (
        CatalogError,
        CriterionError,
        CRLError,
        DatasetError,
        EmbeddingError,
        EncoderError,
        EncoderMismatchError,
        ExistsError,
        FilterError,
        ImageError,
        InputError,
        LockedError,
        ManifestError,
        MissingPackageError,
        NotFoundError,
        StoreError,
        VocabularyError,
    )
    from crl_qdrant.ingestion.catalogs import CatalogOptions, CatalogReader
    from crl_qdrant.ingestion.items import Item, Rejected, Report
    from crl_qdrant.projection.options import Options, PRESETS
    from crl_qdrant.search.query import Query
    from crl_qdrant.search.results import Explanation, Hit, Hits, Plan, WordShare
    from crl_qdrant.vocabulary import LanguageModel, packaged_names, packaged_words

__version__ = "0.1.0"

_HOMES: Final = {
    "Ablation": "analysis.ablation",
    "Inspection": "analysis.inspection",
    "Variant": "analysis.ablation",
    "WordUse": "analysis.inspection",
    "AsyncCRLCollection": "collection.aio",
    "CatalogOptions": "ingestion.catalogs",
    "CatalogReader": "ingestion.catalogs",
    "CRLCollection": "collection",
    "CollectionInfo": "collection.info",
    "CriterionInfo": "collection.info",
    "Criterion": "criteria.criterion",
    "CriterionState": "criteria.manifest",
    "Encoder": "encoders",
    "Explanation": "search.results",
    "Hit": "search.results",
    "Hits": "search.results",
    "Plan": "search.results",
    "Query": "search.query",
    "WordShare": "search.results",
    "LanguageModel": "vocabulary",
    "packaged_names": "vocabulary",
    "packaged_words": "vocabulary",
    "Options": "projection.options",
    "PRESETS": "projection.options",
    "id_of_key": "common.keys",
    "path_below": "common.images",
    "Item": "ingestion.items",
    "Cluster": "analysis.clustering",
    "Clustering": "analysis.clustering",
    "FewShot": "analysis.few_shot",
    "HeadReport": "analysis.heads",
    "Rejected": "ingestion.items",
    "Report": "ingestion.items",
}

__all__ = [
    "Ablation",
    "AsyncCRLCollection",
    "CatalogError",
    "CatalogOptions",
    "CatalogReader",
    "Cluster",
    "Clustering",
    "CollectionInfo",
    "Criterion",
    "CriterionError",
    "CriterionInfo",
    "CriterionState",
    "CRLCollection",
    "CRLError",
    "DatasetError",
    "EmbeddingError",
    "Encoder",
    "EncoderError",
    "EncoderMismatchError",
    "ExistsError",
    "Explanation",
    "FewShot",
    "FilterError",
    "HeadReport",
    "Hit",
    "Hits",
    "id_of_key",
    "ImageError",
    "InputError",
    "Inspection",
    "Item",
    "LanguageModel",
    "LockedError",
    "ManifestError",
    "MissingPackageError",
    "NotFoundError",
    "Options",
    "packaged_names",
    "packaged_words",
    "path_below",
    "Plan",
    "PRESETS",
    "Query",
    "Rejected",
    "Report",
    "StoreError",
    "Variant",
    "VocabularyError",
    "WordShare",
    "WordUse",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
