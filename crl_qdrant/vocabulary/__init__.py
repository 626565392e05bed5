"""Where a criterion's words come from when the user brings none."""

from crl_qdrant.vocabulary.packaged import packaged_names, packaged_words

__all__ = ["packaged_names", "packaged_words"]
