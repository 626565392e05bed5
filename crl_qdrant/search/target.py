"""A query's images, points, texts and embeddings -> the embeddings to be like and unlike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crl_qdrant.common.arrays import Float32Array, unit_vector
from crl_qdrant.common.images import decode, ImageInput
from crl_qdrant.common.points import point_id, PointId
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import NotFoundError
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.query import Query

__all__ = ["Target", "embedded_together", "resolve", "text_embedding"]


@dataclass(frozen=True, slots=True)
class Target:
    """What hits are to be like and unlike.

    Attributes:
        like: unit embeddings [p, d], p >= 1.
        unlike: unit embeddings [n, d]; n may be 0.
        without: stored points that were named as examples, which are no hits.
    """

    like: Float32Array
    unlike: Float32Array
    without: tuple[PointId, ...] = ()


def resolve(query: Query, resident: Resident, encoder: BoundEncoder, dimension: int) -> Target:
    """The embeddings that a query speaks of. `CRLCollection.search` says what is raised."""
    without: list[PointId] = []
    if query.embedding is not None:
        like = unit_vector(query.embedding, what="the query embedding", dimension=dimension)[None]
    elif query.text is not None:
        like = encoder.encode_texts([query.text], purpose="search by text")
    elif query.like is not None:
        without.append(point_id(query.like))
        like = _stored(resident, without[0])[None]
    else:
        images: list[Any] = [query.image] if query.images is None else list(query.images)
        like = encoder.unit(encoder.encode_images([decode(image) for image in images], purpose="search by image"))
    unlike = like[:0]
    if query.unlike is not None:
        rows = []
        for example in query.unlike:
            known = _as_point(example)
            if known is None:
                rows.append(encoder.unit(encoder.encode_images([decode(example)], purpose="search by image"))[0])
            else:
                without.append(known)
                rows.append(_stored(resident, known))
        unlike = np.stack(rows)
    return Target(like, unlike, tuple(without))


def embedded_together(queries: Sequence[Query], encoder: BoundEncoder) -> list[Query]:
    """The same queries, with embeddings where there were images and texts: each kind in one call of the encoder."""
    images = {at: decode(query.image) for at, query in enumerate(queries) if query.image is not None}
    texts = {at: query.text for at, query in enumerate(queries) if query.text is not None}
    rows: dict[int, Float32Array] = {}
    if images:
        found = encoder.encode_images(list(images.values()), purpose="search by image")
        rows |= zip(images, encoder.unit(found), strict=True)
    if texts:
        rows |= zip(texts, encoder.encode_texts(list(texts.values()), purpose="search by text"), strict=True)
    return [
        replace(query, image=None, text=None, embedding=rows[at]) if at in rows else query
        for at, query in enumerate(queries)
    ]


def text_embedding(phrasings: list[str], encoder: BoundEncoder) -> Float32Array:
    """The mean of a text's phrasings' unit embeddings, [d], not of unit length: so the mean of their similarities."""
    rows = encoder.encode_texts(phrasings, purpose="search with a modifier")
    return np.asarray(rows.mean(axis=0, dtype=np.float64), dtype=np.float32)


def _as_point(example: ImageInput | PointId) -> PointId | None:
    """The id that an example is, or None where it is an image: only whole numbers and UUIDs are ids."""
    try:
        return point_id(example)
    except ValueError:
        return None


def _stored(resident: Resident, point: PointId) -> Float32Array:
    found, embeddings = resident.embeddings_of([point])
    if not found:
        raise NotFoundError(f"there is no point {point!r} with an image embedding")
    only: Float32Array = embeddings[0]
    return only
