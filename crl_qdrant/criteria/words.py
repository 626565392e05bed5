"""Words for a criterion that was asked for by its name: from the user, a packaged list, or a language model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Final

from crl_qdrant.common.arguments import whole_number
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.criteria.build import embedded_words
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import InputError, MissingPackageError, VocabularyError
from crl_qdrant.projection.options import check_names
from crl_qdrant.vocabulary import LanguageModel, packaged_names, packaged_words, WordSource

__all__ = ["worded"]

_NEAR: Final = 0.995
"""Cosine from which two texts are one to the encoder: "t shirt" and "t-shirt"."""


def worded(
    name: str,
    words: Sequence[str] | WordSource | None,
    *,
    prompt: str | Sequence[str],
    n_words: int | None,
    domain: str | None,
    anew: bool,
    preset: str | None,
    options: dict[str, Any],
    known: Criterion | None,
    encoder: BoundEncoder,
) -> Criterion:
    """The criterion that a name, and what else was said of it, stands for.

    Words are, in this order: those given, those that the collection has for this name already, those of the source
    given, a packaged list, and what a language model answers. Of a source's words that the encoder cannot tell apart,
    the first is kept.

    Args:
        name, words, prompt, n_words, domain, anew, preset, options: as `CRLCollection.define` has them.
        known: the criterion of this name that the collection has.
        encoder: the collection's.

    Raises:
        VocabularyError: a language model is needed, and gives none.
        CriterionError: if words or options are not allowed.
        EncoderError: if words are to be found and the collection has no encoder to embed them.
    """
    check_names(options)
    if n_words is not None:
        n_words = whole_number("n_words", n_words, least=2)
    if words is not None and not callable(words):
        if n_words is not None or domain is not None:
            raise InputError("n_words and domain are for words from a list or a language model, and words were given")
        return Criterion(name, words, prompt=prompt, preset=preset or "default", **options)
    if known is not None and not anew:
        again = known.with_options(preset, **options) if preset is not None or options else known
        return again if not prompt else Criterion(name, known.words, prompt=prompt, **again.options.to_dict())
    encoder.require(f"embed the words of criterion {name!r}")  # else nobody needs to be asked for words
    packaged = packaged_words(name) if words is None and domain is None else None
    if packaged is not None:
        return Criterion(name, packaged[:n_words], prompt=prompt, preset=preset or "default", **options)
    # whatever else is wrong is to be known before anybody is asked, which costs time and money
    Criterion(name, ["a", "b", "c"], prompt=prompt, preset=preset or "default", **options)
    source = words if words is not None else _language_model(name, asked_for=domain is not None or anew)
    answer = source(name, n_words=n_words, domain=domain)

    def made(words: Sequence[str], embeddings: Float32Array | None = None) -> Criterion:
        return Criterion(name, words, prompt=prompt, embeddings=embeddings, preset=preset or "default", **options)

    answered = made(answer)
    embeddings = embedded_words(answered, encoder)
    kept = _different(embeddings)
    return made([answered.words[row] for row in kept], embeddings[kept])


def _language_model(name: str, *, asked_for: bool) -> LanguageModel:
    """A language model; where it cannot be had and nobody asked for one, the error begins with the missing words."""
    try:
        return LanguageModel()
    except (MissingPackageError, VocabularyError) as error:
        if asked_for:
            raise
        near = difflib.get_close_matches(name, packaged_names(), n=3, cutoff=0.5)
        meant = f" (there is {', '.join(near)})" if near else ""
        raise type(error)(
            f"no words are packaged for {name!r}{meant}; give words, or have a language model asked: {error}"
        ) from error


def _different(embeddings: Float32Array) -> list[int]:
    """Positions of the words [K, d] whose embeddings are not nearly those of an earlier word."""
    cosines = embeddings @ embeddings.T
    kept: list[int] = []
    for row in range(len(embeddings)):
        if not kept or cosines[row, kept].max() < _NEAR:
            kept.append(row)
    return kept
