"""A query as users have it (image, embedding, stored point, text) -> one unit embedding."""

from __future__ import annotations

import numpy.typing as npt

from crl_qdrant.embeddings import Float32Array, unit_vector
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import InputError, NotFoundError
from crl_qdrant.images import decode, ImageInput
from crl_qdrant.manifest import IMAGE_VECTOR
from crl_qdrant.points import PointId
from crl_qdrant.stores import Store

__all__ = ["query_embedding"]


def query_embedding(
    store: Store,
    encoder: BoundEncoder,
    dimension: int,
    *,
    image: ImageInput | None,
    embedding: npt.ArrayLike | None,
    like: PointId | None,
    text: str | None,
) -> Float32Array:
    """The embedding [d] of the one query that is given, unit length. `CRLCollection.search` says what is raised."""
    given = {"image": image, "embedding": embedding, "like": like, "text": text}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise InputError(f"give one of image, embedding, like and text; got {' and '.join(names) or 'none'}")
    if image is not None:
        embedding = encoder.encode_images([decode(image)], purpose="search by image")[0]
    elif text is not None:
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"text must say something, got {text!r}")
        embedding = encoder.encode_texts([text], purpose="search by text")[0]
    elif like is not None:
        records = store.retrieve([like], vector=IMAGE_VECTOR, with_payload=False)
        if not records or records[0].vector is None:
            raise NotFoundError(f"there is no point {like!r} with an image embedding")
        embedding = records[0].vector
    return unit_vector(embedding, what="the query embedding", dimension=dimension)
