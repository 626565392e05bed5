"""From a criterion to what a collection keeps of it: its words embedded, its projection, a named vector's name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from crl_qdrant.common.arrays import Float32Array, unit_rows
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.criteria.manifest import Manifest, RawVector, StoredCriterion
from crl_qdrant.criteria.sample import sample_images
from crl_qdrant.criteria.vectors import next_vector
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import CriterionError
from crl_qdrant.projection.build import build_projection, leading_directions
from crl_qdrant.projection.stored import StoredProjection
from crl_qdrant.stores import Store

__all__ = [
    "context",
    "embedded_words",
    "new_version",
    "projected",
    "version_of",
]

_FEWEST_DIMENSIONS: Final = 2


def new_version(criterion: Criterion, manifest: Manifest, encoder: BoundEncoder, store: Store) -> StoredCriterion:
    """A version of a criterion, without its named vector.

    Args:
        criterion: with embeddings or without; those of the same words in the same prompts are taken from the manifest.
        manifest: the collection's, with the other criteria.
        encoder: what embeds the words.
        store: where a sample of the images comes from, where the options read it.

    Raises:
        CriterionError: the words cannot tell images apart, a suppressed criterion is not there, or there are no images.
        EmbeddingError: if the criterion brings embeddings of another dimension.
        EncoderError: if it brings none, and the collection has no encoder.
    """
    embedded = criterion.with_embeddings(_embeddings(criterion, manifest, encoder))
    vector = next_vector(criterion.name, manifest)
    return version_of(embedded, manifest.definitions, store, manifest.raw, vector)


def version_of(
    criterion: Criterion, others: Mapping[str, Criterion], store: Store, raw: RawVector, vector: str
) -> StoredCriterion:
    """A version of a criterion with embeddings, whose named vector will have this name; errors as for `new_version`.

    Args:
        criterion: with embeddings.
        others: the criteria by name, with embeddings; it may itself be among them.
        store: where a sample of the images comes from, where the options read it.
        raw: the images' embeddings.
        vector: a name that no other named vector has.
    """
    projection = projected(criterion, others, lambda: sample_images(store, raw))
    return StoredCriterion(criterion, projection, vector, context(criterion, others))


def _suppressed_by(criterion: Criterion, others: Mapping[str, Criterion]) -> dict[str, Criterion]:
    """The criteria whose directions a criterion takes out of the images.

    Args:
        criterion: the criterion.
        others: the collection's criteria by name, with embeddings; it may itself be among them.

    Raises:
        CriterionError: it names one that is not there.
    """
    rest = {name: each for name, each in others.items() if name != criterion.name}
    wanted = criterion.options.suppress
    if wanted == "others":
        return rest
    unknown = [name for name in wanted if name not in rest]
    if unknown:
        raise CriterionError(
            f"criterion {criterion.name!r} suppresses {unknown[0]!r}, which is not defined; "
            f"there are: {', '.join(rest) or 'none'}"
        )
    return {name: rest[name] for name in wanted}


def context(criterion: Criterion, others: Mapping[str, Criterion]) -> str:
    """Return a digest of the criteria that this one suppresses: "" if it suppresses none."""
    embeddings = [each.embeddings for each in _suppressed_by(criterion, others).values() if each.embeddings is not None]
    digests = sorted(hashlib.sha256(np.ascontiguousarray(each).tobytes()).hexdigest() for each in embeddings)
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16] if digests else ""


def projected(
    criterion: Criterion, others: Mapping[str, Criterion], images: Callable[[], Float32Array]
) -> StoredProjection:
    """A criterion's projection; nothing is stored.

    Args:
        criterion: with embeddings.
        others: the criteria by name, with embeddings; it may itself be among them.
        images: gives a sample of the collection's image embeddings [n, d]; asked only if the options read it.

    Raises:
        CriterionError: as for `new_version`.
    """
    options = criterion.options
    sample = images() if options.reads_images else None
    if options.needs_images and (sample is None or not len(sample)):
        raise CriterionError(
            f'criterion {criterion.name!r} needs the mean of the images (center="both" or tangent), and the '
            "collection is empty; add images first"
        )
    suppressed = [each.embeddings for each in _suppressed_by(criterion, others).values() if each.embeddings is not None]
    away = leading_directions(suppressed, options.suppress_rank) if suppressed else None
    if criterion.embeddings is None:
        raise ValueError(f"the words of criterion {criterion.name!r} are not embedded")
    made = build_projection(criterion.embeddings, options, images=sample, suppressed=away)
    spanned = made.matrix.shape[1]
    if spanned < _FEWEST_DIMENSIONS:
        raise CriterionError(
            f"the words of criterion {criterion.name!r} span {spanned} dimension(s), and in fewer than two "
            'every image is simply for or against; use more words, or preset="paper"'
        )
    return made


def _embeddings(criterion: Criterion, manifest: Manifest, encoder: BoundEncoder) -> Float32Array:
    embeddings = criterion.embeddings
    lineage = manifest.lineages.get(criterion.name)
    if embeddings is None and lineage is not None:
        known = (version.criterion for version in lineage.versions)
        embeddings = next((each.embeddings for each in known if each.same_words(criterion)), None)
    if embeddings is None:
        return embedded_words(criterion, encoder)
    what = f"the embeddings of criterion {criterion.name!r}"
    return unit_rows(embeddings, rows=len(criterion.words), dimension=manifest.dimension, what=what)


def embedded_words(criterion: Criterion, encoder: BoundEncoder) -> Float32Array:
    """Embeddings [K, d] of a criterion's words by an encoder, the mean over its prompts, unit rows.

    Raises:
        EncoderError: there is no encoder, or it failed.
    """
    rows = encoder.encode_texts(criterion.texts, purpose="embed a criterion's words")
    return encoder.unit(rows.reshape(len(criterion.prompts), len(criterion.words), -1).mean(axis=0))
