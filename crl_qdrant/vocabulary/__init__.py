"""Words for criteria, from packaged lists or a language model."""

from __future__ import annotations

from crl_qdrant.vocabulary.cleaning import cleaned_words
from crl_qdrant.vocabulary.language_model import LanguageModel, WordSource
from crl_qdrant.vocabulary.packaged import packaged_names, packaged_words
from crl_qdrant.vocabulary.prompts import PAPER_PROMPT, PROMPTS

__all__ = [
    "cleaned_words",
    "LanguageModel",
    "packaged_names",
    "packaged_words",
    "PAPER_PROMPT",
    "PROMPTS",
    "WordSource",
]
