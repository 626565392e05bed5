"""The paper's data sets: one loader each, which says what to download and where to, and checks what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crl_qdrant.evaluation.datasets.cards import CARDS_IMAGES, CARDS_PROMPTS, load_cards
from crl_qdrant.evaluation.datasets.clevr4 import CLEVR4_IMAGES, CLEVR4_PROMPTS, load_clevr4
from crl_qdrant.evaluation.datasets.deepfashion import (
    AttributeImages,
    AttributeRetrieval,
    Entries,
    load_deepfashion,
    load_deepfashion_training,
)
from crl_qdrant.evaluation.datasets.genecis import GalleryRetrieval, load_genecis
from crl_qdrant.evaluation.datasets.labelled import LabelledImages, LabelledSet

__all__ = [
    "LABELLED_SETS",
    "AttributeImages",
    "AttributeRetrieval",
    "Entries",
    "GalleryRetrieval",
    "LabelledImages",
    "LabelledSet",
    "load_cards",
    "load_clevr4",
    "load_deepfashion",
    "load_deepfashion_training",
    "load_genecis",
]

LABELLED_SETS: Final[Mapping[str, LabelledSet]] = {
    "clevr4": LabelledSet("Clevr4-10k", load_clevr4, CLEVR4_IMAGES, CLEVR4_PROMPTS),
    "cards": LabelledSet("Cards", load_cards, CARDS_IMAGES, CARDS_PROMPTS),
}
"""Those that the paper clusters, and learns from few shots of."""
