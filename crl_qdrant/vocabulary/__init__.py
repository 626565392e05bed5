"""Words for a criterion, from a language model."""

from __future__ import annotations

from crl_qdrant.vocabulary.cleaning import cleaned_words
from crl_qdrant.vocabulary.language_model import LanguageModel, WordSource
from crl_qdrant.vocabulary.prompts import PAPER_PROMPT, PROMPTS

__all__ = ["cleaned_words", "LanguageModel", "PAPER_PROMPT", "PROMPTS", "WordSource"]
