"""Every error this package raises on purpose. Catch `CRLError` to catch them all.

CRLError
├── InputError (ValueError)         an argument cannot be right: the message names it, its value and what to pass
│   ├── CriterionError              a criterion that cannot work: blank, duplicate or too few words, rank 1
│   ├── EmbeddingError              wrong shape, NaN or zero embeddings
│   ├── ImageError                  an image that cannot be read, or that is too large to be a picture
│   ├── FilterError                 a filter condition that the store does not have
│   ├── CatalogError                a catalogue file that cannot be read, or a row that lacks what was asked for
│   └── DatasetError                a data set of the evaluation that is not there, or not what it should be
├── NotFoundError (LookupError)     no such collection, criterion, point or encoder; the message lists those there are
├── ExistsError                     a collection or criterion of that name is there already
├── EncoderError                    no encoder, an encoder that cannot be loaded, or one that gives unusable output
│   └── EncoderMismatchError        not the encoder that wrote the collection
├── VocabularyError                 a language model gave no words for a criterion: what happened, and what to do
├── MissingPackageError (ImportError)   an optional package is not installed; the message has the pip line
└── StoreError                      the vector store refused or could not be reached
    ├── LockedError                 another process, or another object of this one, holds the directory
    └── ManifestError               the collection was not written by this package, or does not match its manifest
"""

from __future__ import annotations

__all__ = [
    "CRLError",
    "CatalogError",
    "CriterionError",
    "DatasetError",
    "EmbeddingError",
    "EncoderError",
    "EncoderMismatchError",
    "ExistsError",
    "FilterError",
    "ImageError",
    "InputError",
    "LockedError",
    "ManifestError",
    "MissingPackageError",
    "NotFoundError",
    "StoreError",
    "VocabularyError",
]


class CRLError(Exception):
    """Root of this package's errors."""


class InputError(CRLError, ValueError):
    """An argument cannot be right."""


class CriterionError(InputError):
    """A criterion that cannot work."""


class EmbeddingError(InputError):
    """Embeddings of the wrong shape, or with NaN or zero rows."""


class ImageError(InputError):
    """An image that cannot be read."""


class FilterError(InputError):
    """A filter condition that the store does not have."""


class CatalogError(InputError):
    """A catalogue that cannot be read."""


class DatasetError(InputError):
    """A data set of the evaluation that is not there, or not what it should be."""


class NotFoundError(CRLError, LookupError):
    """No such collection, criterion, point or encoder."""


class ExistsError(CRLError):
    """The name is taken."""


class EncoderError(CRLError):
    """No encoder, or one that cannot be used."""


class EncoderMismatchError(EncoderError):
    """Not the encoder that wrote the collection."""


class VocabularyError(CRLError):
    """Words for a criterion could not be had."""


class MissingPackageError(CRLError, ImportError):
    """An optional package is not installed."""


class StoreError(CRLError):
    """The vector store refused or could not be reached."""


class LockedError(StoreError):
    """The directory is in use."""


class ManifestError(StoreError):
    """The stored collection is not, or is not consistently, one of ours."""
