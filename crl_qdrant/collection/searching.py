"""Searches of a collection."""

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
        modifier: str | Sequence[str] | npt.ArrayLike | None = None,
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
        """Find the points most like the query: overall, in the respect of a criterion, or of several.

        By one criterion the score is the cosine of the representations. By several, or with a modifier, it is
        Σ w·(s - μ)/σ over the criteria and the modifier's text. Each similarity s is standardized by its mean μ and
        deviation σ over a fixed sample of the collection, so a score depends on no limit, offset or filter. Equal
        scores are in the order of the ids.

        Args:
            image: the query: path, bytes or PIL image. Instead of it, one of:
            embedding: an image or text embedding [d], any float type and length.
            like: the id of a stored point, which itself is left out of the hits.
            text: a text, embedded by the encoder's text tower.
            images: several images; hits are like the mean of their representations.
            unlike: images or ids to be unlike: hits are like twice the mean of the above less the mean of these.
            criterion: name of a defined criterion, or several with weights, {"fabric": 1.0, "colour": -0.5}; a
                negative weight means unlike in that respect. None compares the raw embeddings.
            modifier: how the hits should differ, "with a dog", several phrasings of it, or a text's embedding [d]. It
                goes with one criterion, several or none. A UserWarning tells if it names a word of a criterion with a
                positive weight.
            criterion_weight: weight of the criteria beside a modifier, from 0 to 1e6; without a criterion, of the raw
                similarity. 1.0 means as much as the text. None: 0.5, or 10 with scoring="paper".
            scoring: "standardized" as above, or "paper" for one criterion and a modifier: w·S_criterion + S_modifier,
                each similarity divided by its norm over the candidates (arXiv 2510.04564, C.3).
            limit: how many hits, at least 1.
            offset: how many hits to skip.
            query_filter: a `qdrant_client.models.Filter` on the payload.
            with_payload: all of the payload, none, or these keys of it.
            score_threshold: the least score of a hit.
            min_closeness: the least closeness of a hit, from 0 to 1, in each criterion with a positive weight; see
                `Hit.closeness`. 0.3 is a good start.
            strategy: "named" (the engine's index, needs a materialized criterion), "scan" (exact, all embeddings in
                memory), "rerank" (exact scores of oversampled candidates; approximate), or "auto", the first of these
                that can be used.
            oversample: candidates for each hit that is asked for, where candidates are scored.
            search_params: `qdrant_client.models.SearchParams` for the engine's index.
            group_by: a payload field; of points with the same value only the best is a hit.
            diversity: from 0 to below 1: how much hits avoid being like each other, in the criterion's own space.
            expand: how many of the first hits to average into the query before it is searched for again; 0 for none.
            explain: whether hits say which words they matched on, and how close they are.

        Returns:
            At most `limit` hits, best first; `hits.plan` says how they were found.

        Raises:
            InputError: if an argument is out of range, none or several queries are given, a strategy cannot be used,
                or the store does not have a filter.
            ImageError: if the image cannot be read.
            EmbeddingError: if an embedding has another dimension, NaN, or only zeros; or if the query has no part in
                the criterion's words.
            NotFoundError: if there is no such criterion, or no point of that id.
            EncoderError: if there is an image, text or modifier, and the collection has no encoder.
            StoreError: if the store refuses or cannot be reached.
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
        """Answer many queries: one round trip to the engine, one pass over the embeddings for each criterion.

        Images are embedded together, and texts. A point that several queries find may have one payload object in all.

        Args:
            queries: each a `Query` with the arguments of `search`.

        Raises:
            InputError: if an entry is no `Query`; and all that `search` raises, for the first query that fails.
        """
        every = listed("queries", queries)
        for query in every:
            if not isinstance(query, Query):
                raise InputError(f"`queries` must be Query objects, got {type(query).__name__}; write Query(like=1, …)")
        return self._searcher.run_batch(every)

    def explain_plan(self, query: Query) -> Plan:
        """Say how a query would be answered, and why, without answering it; raises as `search` for its arguments."""
        if not isinstance(query, Query):
            raise InputError(f"`query` must be a Query object, got {type(query).__name__}; write Query(like=1, …)")
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
        """Put someone else's results (a keyword search's, say) in the order of a criterion, scored exactly.

        Args:
            image: the query; None where one of its alternatives is among the options.
            candidates: ids, or hits of an earlier search. Ids that are not in the collection are left out.
            criterion: as in `search`.
            limit: how many hits; None for all candidates.
            **options: further arguments of `search`: like, text, modifier, query_filter, diversity, ….

        Raises:
            InputError: if there are no candidates; and all that `search` raises.
        """
        given = listed("candidates", candidates)
        ids = [point_id(each.id if isinstance(each, Hit) else each) for each in given]
        if not ids:
            raise InputError("`candidates` must have at least one entry, got none")
        query = Query(image=image, criterion=criterion, limit=len(ids) if limit is None else limit, **options)
        return self._searcher.rerank(query, ids)

    def describe(
        self, /, image: ImageInput | None = None, *, criterion: str, limit: int = 5, **options: Any
    ) -> list[tuple[str, float]]:
        """Find the words of a criterion that describe an image best: it is more of them than the average item.

        Args:
            image: the image; instead of it embedding=, like= or text=, as in `search`.
            criterion: name of a defined criterion.
            limit: how many words.

        Returns:
            Words, and by how much the image's conditional representation exceeds the collection's average in them.

        Raises:
            NotFoundError: if there is no such criterion; and all that `search` raises for a query.
        """
        return self._searcher.describe(Query(image=image, criterion=criterion, limit=limit, **options), limit)

    def estimate_recall(self, criterion: str, *, sample: int = 50, limit: int = 10, oversample: int = 10) -> float:
        """Measure the share of the exact best hits that the "rerank" strategy finds, with stored points as queries.

        Args:
            criterion: name of a defined criterion.
            sample: how many points to search for, at most 1,000.
            limit, oversample: as in `search`.

        Returns:
            Recall in [0, 1]; 1.0 for an empty collection.

        Raises:
            NotFoundError: if there is no such criterion.
            InputError: if the exact answer is out of reach: the criterion is not materialized, and the scan does not
                fit.
        """
        space = self._criteria.space(criterion)
        exactly = models.SearchParams(exact=True)
        rows = self._resident.sample()[: whole_number("sample", sample, least=1)]
        rows = rows[space.represent(rows).any(axis=1)]  # a row with no part in the words has no nearest point
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
