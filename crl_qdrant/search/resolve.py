"""From a query to a request: embeddings, spaces, goals and plan."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from crl_qdrant.common.arrays import Float32Array, unit_vector
from crl_qdrant.common.images import decode, ImageInput
from crl_qdrant.common.points import point_id, PointId
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.criteria.space import Space
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import EmbeddingError, NotFoundError
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.plan import choose_plan, tell_unsmoothed
from crl_qdrant.search.query import Query
from crl_qdrant.search.request import Goal, Request
from crl_qdrant.search.results import Plan
from crl_qdrant.search.scoring import mean_direction

__all__ = ["Resolver"]


class Resolver:
    """Resolves the queries of one collection; `CRLCollection.search` says what is raised."""

    def __init__(self, criteria: Criteria, encoder: BoundEncoder, resident: Resident) -> None:
        self._criteria = criteria
        self._encoder = encoder
        self._resident = resident

    def request(self, query: Query, *, plan: Plan | None = None, like: Float32Array | None = None) -> Request:
        """The query resolved.

        Args:
            query: as the user gave it.
            plan: takes the place of the one that would be chosen.
            like: unit embeddings [p, d] of what the query is like, where they are known already.
        """
        pairs = self._spaces(query)
        spaces = [space for space, _ in pairs]
        plan = self._plan(query, spaces) if plan is None else tell_unsmoothed(plan, spaces)
        like, unlike, excluded = self._examples(query, like)
        factor = 1.0 if query.modifier is None else query.weight_beside_modifier
        goals = [Goal(space, _direction(space, like, unlike), weight * factor) for space, weight in pairs]
        modifier = None if query.modifier is None else self._modifier(query, pairs)
        return Request(query, like, unlike, excluded, tuple(goals), modifier, plan)

    def plan(self, query: Query) -> Plan:
        """Plan a query without answering it."""
        return self._plan(query, [space for space, _ in self._spaces(query)])

    def embed_together(self, queries: Sequence[Query]) -> list[Float32Array | None]:
        """Unit embeddings [1, d] of the queries that are one image or text: each kind in one call of the encoder."""
        images = {at: decode(query.image) for at, query in enumerate(queries) if query.image is not None}
        texts = {at: query.text for at, query in enumerate(queries) if query.text is not None}
        rows: dict[int, Float32Array] = {}
        if images:
            found = self._encoder.encode_images(list(images.values()), purpose="search by image")
            rows |= zip(images, self._encoder.unit(found), strict=True)
        if texts:
            rows |= zip(texts, self._encoder.encode_texts(list(texts.values()), purpose="search by text"), strict=True)
        return [rows[at][None] if at in rows else None for at in range(len(queries))]

    def _spaces(self, query: Query) -> list[tuple[Space, float]]:
        """The spaces that the query compares in, and their weights."""
        if query.criterion is None or isinstance(query.criterion, str):
            return [(self._criteria.space(query.criterion), 1.0)]
        return [(self._criteria.space(name), weight) for name, weight in query.weights.items()]

    def _plan(self, query: Query, spaces: list[Space]) -> Plan:
        (first, *others) = spaces
        if query.strategy == "auto" and first.indexed and not others and query.modifier is None:  # as most often
            exact = query.search_params is not None and bool(query.search_params.exact)
            return Plan("named", exact, f"{first.vector} is a named vector of every point")
        return choose_plan(query, spaces, self._resident)

    def _examples(
        self, query: Query, like: Float32Array | None
    ) -> tuple[Float32Array, Float32Array, tuple[PointId, ...]]:
        """Embeddings to be like and unlike, and the stored points among the examples."""
        excluded: list[PointId] = []
        if like is not None:
            pass
        elif query.embedding is not None:
            dimension = self._criteria.manifest.raw.dimension
            like = unit_vector(query.embedding, what="the query embedding", dimension=dimension)[None]
        elif query.text is not None:
            like = self._encoder.encode_texts([query.text], purpose="search by text")
        elif query.like is not None:
            excluded.append(point_id(query.like))
            like = self._stored(excluded[0])[None]
        else:
            images: list[Any] = [query.image] if query.images is None else list(query.images)
            like = self._embed([decode(image) for image in images])
        if query.unlike is None:
            return like, like[:0], tuple(excluded)
        rows = []
        for example in query.unlike:
            known = _as_point(example)
            if known is None:
                rows.append(self._embed([decode(example)])[0])
            else:
                excluded.append(known)
                rows.append(self._stored(known))
        return like, np.stack(rows), tuple(excluded)

    def _embed(self, images: list[Any]) -> Float32Array:
        return self._encoder.unit(self._encoder.encode_images(images, purpose="search by image"))

    def _stored(self, point: PointId) -> Float32Array:
        found, embeddings = self._resident.embeddings_of([point])
        if not found:
            raise NotFoundError(f"there is no point {point!r} with an image embedding; search by a stored point")
        only: Float32Array = embeddings[0]
        return only

    def _modifier(self, query: Query, pairs: list[tuple[Space, float]]) -> Goal:
        """The modifier's goal: the mean of its phrasings' unit embeddings, so the mean of their similarities."""
        if query.modifier_is_embedded:
            dimension = self._criteria.manifest.dimension
            return Goal(
                self._criteria.space(None),
                unit_vector(query.modifier, what="the modifier's embedding", dimension=dimension),
            )
        rows = self._encoder.encode_texts(query.phrasings, purpose="search with a modifier")
        mean = np.asarray(rows.mean(axis=0, dtype=np.float64), dtype=np.float32)
        if not mean.any():
            raise EmbeddingError(f"the modifier's phrasings cancel each other out: {query.modifier!r:.99}")
        for space, weight in pairs:
            if weight > 0 and (word := _word_in(query.phrasings, space.words)):
                warnings.warn(
                    f"the modifier says {word!r}, which is a word of criterion {space.name!r}: hits are asked to be "
                    f"like the query in {space.name!r} and to differ in it; leave {space.name!r} out, or say something "
                    "else",
                    UserWarning,
                    stacklevel=2,
                )
        return Goal(self._criteria.space(None), mean)


def _direction(space: Space, like: Float32Array, unlike: Float32Array) -> Float32Array:
    """The direction [r] that hits should have in a space.

    Raises:
        EmbeddingError: if the examples have no part in the criterion's words, or cancel each other out.
    """
    projection = space.projection
    # not by the space's projector: a few rows are quickest in NumPy
    rows = like if projection is None else projection.represent(like)
    if len(rows) == 1 and not len(unlike):
        direction: Float32Array = rows[0]
    else:
        direction = mean_direction(rows, unlike if projection is None else projection.represent(unlike))
    if not direction.any():
        raise EmbeddingError(
            f"the query has no part in the words of criterion {space.name!r}, so nothing is nearest to it"
            if projection is not None and len(like) == 1 and not len(unlike)
            else f"the examples to be like and unlike cancel each other out in {space.name!r}, so nothing is nearest"
        )
    return direction


def _word_in(phrasings: list[str], words: Sequence[str]) -> str | None:
    """The first of the words that a phrasing contains as whole words, letter case aside."""
    for word in words:
        pattern = re.compile(rf"(?<!\w){re.escape(word.casefold())}(?!\w)")
        if any(pattern.search(text.casefold()) for text in phrasings):
            return word
    return None


def _as_point(example: ImageInput | PointId) -> PointId | None:
    """The id that an example is, or None where it is an image: only whole numbers and UUIDs are ids."""
    try:
        return point_id(example)
    except ValueError:
        return None
