"""A collection searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.collection.core import Core
from crl_qdrant.common.arguments import listed, whole_number
from crl_qdrant.common.images import ImageInput
from crl_qdrant.common.points import point_id
from crl_qdrant.errors import InputError
from crl_qdrant.search.query import Query
from crl_qdrant.search.results import Hit, Hits, Plan
from crl_qdrant.stores import WithPayload

__all__ = ["Searching"]


class Searching(Core):
    """Searches of a collection."""

    def search(
        self,
        image: ImageInput | None = None,
        *,
        embedding: npt.ArrayLike | None = None,
        like: Any = None,
        text: str | None = None,
        images: Sequence[ImageInput] | None = None,
        unlike: Sequence[Any] | None = None,
        criterion: str | Mapping[str, float] | None = None,
        modifier: str | Sequence[str] | None = None,
        criterion_weight: float | None = None,
        scoring: str = "standardized",
        limit: int = 10,
        offset: int = 0,
        query_filter: models.Filter | None = None,
        with_payload: WithPayload = True,
        score_threshold: float | None = None,
        min_closeness: float | None = None,
        strategy: str = "auto",
        oversample: int = 10,
        search_params: models.SearchParams | None = None,
        group_by: str | None = None,
        diversity: float = 0.0,
        expand: int = 0,
        explain: bool = False,
    ) -> Hits:
        """The points most like the query: overall, in the respect of a criterion, or of several.

        Args:
            image: the query: path, bytes or PIL image. Instead of it, one of:
            embedding: an image or text embedding [d], any float type and length.
            like: the id of a stored point, which itself is left out of the hits.
            text: a text, embedded by the encoder's text tower.
            images: several images; what counts is the mean of their representations.
            unlike: images or ids to be unlike: twice the mean of the above less the mean of these is searched for.
            criterion: name of a defined criterion, or several with weights, {"fabric": 1.0, "colour": -0.5}: the
                weighted sum of their cosines, each standardised over the candidates; a negative weight means unlike
                in that respect. None compares the raw embeddings.
            modifier: how the hits should differ, "with a dog", or several phrasings of it. The score is then
                w·S_criterion + S_modifier, each similarity divided by its norm over the candidates (the paper, C.3).
            criterion_weight: that w; without a criterion it weighs the raw similarity.
            limit: how many hits, at least 1.
            offset: how many hits to skip.
            query_filter: a `qdrant_client.models.Filter` on the payload.
            with_payload: all of the payload, none, or these keys of it.
            score_threshold: hits below this score are left out.
            strategy: "named" (the engine's index, needs a materialised criterion), "scan" (exact, all embeddings in
                memory), "rerank" (exact scores of oversampled candidates; approximate), or "auto", the first of these
                that can be used.
            oversample: candidates for each hit that is asked for, where candidates are scored.
            search_params: `qdrant_client.models.SearchParams` for the engine's index.
            group_by: a payload field; of points with the same value only the best is a hit.
            diversity: from 0 to below 1: how much hits avoid being like each other, in the criterion's own space.
            explain: whether hits say which words they matched on.

        Returns:
            At most `limit` hits, best first; `hits.plan` says how they were found.

        Raises:
            InputError: an argument that cannot be, none or several queries, a strategy that cannot be used, a filter
                that the store does not have.
            ImageError: the image cannot be read.
            EmbeddingError: an embedding of another dimension, with NaN, or zero; or a query that has no part in the
                criterion's words.
            NotFoundError: no such criterion, or no point of that id.
            EncoderError: image, text or modifier, and the collection has no encoder.
            StoreError: the store refused or cannot be reached.
        """
        query = Query(
            image=image,
            embedding=embedding,
            like=like,
            text=text,
            images=images,
            unlike=unlike,
            criterion=criterion,
            modifier=modifier,
            criterion_weight=criterion_weight,
            scoring=scoring,
            limit=limit,
            offset=offset,
            query_filter=query_filter,
            with_payload=with_payload,
            score_threshold=score_threshold,
            min_closeness=min_closeness,
            strategy=strategy,
            oversample=oversample,
            search_params=search_params,
            group_by=group_by,
            diversity=diversity,
            expand=expand,
            explain=explain,
        )
        return self._searcher.run(query)

    def search_batch(self, queries: Iterable[Query]) -> list[Hits]:
        """The hits of many queries: one round trip to the engine, one pass over the embeddings for each criterion.

        Images are embedded together, and texts. A point that several queries find may have one payload object in all.

        Args:
            queries: each a `Query` with the arguments of `search`.

        Raises:
            InputError: something that is no `Query`; and all that `search` raises, for the first query that fails.
        """
        every = listed("queries", queries)
        for query in every:
            if not isinstance(query, Query):
                raise InputError(f"search_batch takes Query objects, got {type(query).__name__}")
        return self._searcher.run_batch(every)

    def explain_plan(self, query: Query) -> Plan:
        """How a query would be answered, and why, without answering it; raises as `search` for its arguments."""
        if not isinstance(query, Query):
            raise InputError(f"explain_plan takes a Query object, got {type(query).__name__}")
        return self._searcher.plan(query)

    def rerank(
        self,
        /,
        image: ImageInput | None,
        candidates: Iterable[Any],
        *,
        criterion: str | Mapping[str, float] | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> Hits:
        """Someone else's results (a keyword search's, say) in the order of a criterion, scored exactly.

        Args:
            image: the query; None where one of its alternatives is among the options.
            candidates: ids, or hits of an earlier search. Ids that are not in the collection are left out.
            criterion: as in `search`.
            limit: how many hits; None for all candidates.
            **options: further arguments of `search`: like, text, modifier, query_filter, diversity, ….

        Raises:
            InputError: no candidates; and all that `search` raises.
        """
        given = listed("candidates", candidates)
        ids = [point_id(each.id if isinstance(each, Hit) else each) for each in given]
        if not ids:
            raise InputError("there are no candidates to rerank")
        query = Query(image=image, criterion=criterion, limit=len(ids) if limit is None else limit, **options)
        return self._searcher.rerank(query, ids)

    def describe(
        self, /, image: ImageInput | None = None, *, criterion: str, limit: int = 5, **options: Any
    ) -> list[tuple[str, float]]:
        """The words of a criterion that describe an image best: those it is more of than the average item.

        Args:
            image: the image; instead of it embedding=, like= or text=, as in `search`.
            criterion: name of a defined criterion.
            limit: how many words.

        Returns:
            Words, and by how much the image's conditional representation exceeds the collection's average in them.

        Raises:
            NotFoundError: no such criterion; and all that `search` raises for a query.
        """
        return self._searcher.describe(Query(image=image, criterion=criterion, limit=limit, **options), limit)

    def estimate_recall(self, criterion: str, *, sample: int = 50, limit: int = 10, oversample: int = 10) -> float:
        """Share of the exact best hits that the "rerank" strategy finds, over a sample of stored points as queries.

        Args:
            criterion: name of a defined criterion.
            sample: how many points to ask for; more than 1,000 are not asked for.
            limit, oversample: as in `search`.

        Returns:
            Recall in [0, 1]; 1.0 for an empty collection.

        Raises:
            NotFoundError: no such criterion.
            InputError: the exact answer cannot be had: the criterion is not materialised and the scan does not fit.
        """
        space = self._criteria.space(criterion)
        exactly = models.SearchParams(exact=True)
        rows = self._resident.sample()[: whole_number("sample", sample, least=1)]
        rows = rows[space.represent(rows).any(axis=1)]  # what has no part in the words has no nearest point
        common: dict[str, Any] = {"criterion": criterion, "limit": limit, "with_payload": False}
        queries = [Query(embedding=row, search_params=exactly, **common) for row in rows]
        if any(not self._searcher.plan(query).exact for query in queries[:1]):
            raise InputError(
                f"recall needs the exact answer, and {self._searcher.plan(queries[0]).reason}; "
                f"materialize({criterion!r}), or raise scan_memory"
            )
        found = []
        for row, best in zip(rows, self._searcher.run_batch(queries), strict=True):
            hits = self._searcher.run(Query(embedding=row, strategy="rerank", oversample=oversample, **common))
            found.append(len({hit.id for hit in hits} & {hit.id for hit in best}) / max(len(best), 1))
        return float(np.mean(found)) if found else 1.0
