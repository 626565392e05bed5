"""From a criterion to what a collection keeps of it: its words embedded, its projection, a named vector's name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TYPE_CHECKING

import numpy as np

from crl_qdrant.common.arrays import Float32Array, unit_rows
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.criteria.manifest import CriterionState, Manifest, RawVector, StoredCriterion
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import CriterionError
from crl_qdrant.projection.stored import StoredProjection
from crl_qdrant.stores import Store

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "context",
    "embedded_words",
    "free_vector",
    "image_mean",
    "new_version",
    "next_vector",
    "projected",
    "version_of",
]

_FEWEST_DIMENSIONS: Final = 2
_MEAN_OF: Final = 100_000


def new_version(criterion: Criterion, manifest: Manifest, encoder: BoundEncoder, store: Store) -> StoredCriterion:
    """A version of a criterion, without its named vector.

    Args:
        criterion: with embeddings or without; those of the same words in the same prompts are taken from the manifest.
        manifest: the collection's, with the other criteria.
        encoder: what embeds the words.
        store: where the mean of the images comes from, where the options need it.

    Raises:
        CriterionError: the words cannot tell images apart, a suppressed criterion is not there, or there are no images.
        EmbeddingError: the criterion brings embeddings of another dimension.
        EncoderError: it brings none, and the collection has no encoder.
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
        store: where the mean of the images comes from, where the options need it.
        raw: the images' embeddings.
        vector: a name that no other named vector has.
    """
    projection = projected(criterion, others, lambda: image_mean(store, raw))
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
    """What changes when the criteria that this one suppresses do: "" where it suppresses none."""
    embeddings = [each.embeddings for each in _suppressed_by(criterion, others).values() if each.embeddings is not None]
    digests = sorted(hashlib.sha256(np.ascontiguousarray(each).tobytes()).hexdigest() for each in embeddings)
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16] if digests else ""


def projected(
    criterion: Criterion, others: Mapping[str, Criterion], mean_of_images: Callable[[], Float32Array | None]
) -> StoredProjection:
    """A criterion's projection; nothing is stored.

    Args:
        criterion: with embeddings.
        others: the criteria by name, with embeddings; it may itself be among them.
        mean_of_images: gives the mean embedding [d], or None where there are no images; asked only where it is needed.

    Raises:
        CriterionError: as for `new_version`.
    """
    import torch

    from crl_qdrant.projection.on_device import leading_directions, projection_of

    options = criterion.options
    mean: Tensor | None = None
    if options.needs_images:
        found = mean_of_images()
        if found is None:
            raise CriterionError(
                f'criterion {criterion.name!r} needs the mean of the images (center="both" or tangent), and the '
                "collection is empty; add images first"
            )
        mean = torch.tensor(found)
    suppressed = [torch.tensor(each.embeddings) for each in _suppressed_by(criterion, others).values()]
    away = leading_directions(suppressed, options.suppress_rank) if suppressed else None
    texts = torch.tensor(criterion.embeddings)
    made = projection_of(texts, options, image_mean=mean, suppressed=away)
    spanned = made.matrix.shape[1]
    if spanned < _FEWEST_DIMENSIONS:
        raise CriterionError(
            f"the words of criterion {criterion.name!r} span {spanned} dimension(s), and in fewer than two "
            'every image is simply for or against; use more words, or preset="paper"'
        )
    matrix, offset, words = (np.asarray(each.numpy()) for each in (made.matrix, made.offset, made.words))
    return StoredProjection(matrix, offset, words, made.sharpen, made.blend)


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


def image_mean(store: Store, raw: RawVector) -> Float32Array | None:
    """The mean embedding [d] of the collection's images, of the first 100,000; None where there are none."""
    total, number = np.zeros(raw.dimension), 0
    for ids, embeddings in store.scroll(vector=raw.vector):
        total += embeddings.sum(axis=0, dtype=np.float64)
        number += len(ids)
        if number >= _MEAN_OF:
            break
    return (total / number).astype(np.float32) if number else None


def next_vector(name: str, manifest: Manifest) -> str:
    """The named vector of a criterion's next version: the current one's, where that was never made."""
    lineage = manifest.lineages.get(name)
    if lineage is not None and lineage.current.state is CriterionState.DEFINED and not lineage.retired:
        return lineage.current.vector
    used = [] if lineage is None else [*lineage.retired, *(version.vector for version in lineage.versions)]
    return free_vector(name, manifest.vectors_in_use(), used)


def free_vector(name: str, taken: Collection[str], used: Sequence[str] = ()) -> str:
    """A named vector for a new version: `crl_<name>` for the first, then with a number that only rises.

    A name that came back would let a search that read the manifest some seconds ago meet another version's vectors.

    Args:
        name: the criterion's.
        taken: all names that are in use.
        used: those that the criterion has.
    """
    number = 1 + max((int(vector.partition("~")[2] or 1) for vector in used), default=0)
    while (vector := f"crl_{name}" + (f"~{number}" if number > 1 else "")) in taken:
        number += 1
    return vector
