"""Finds the candidates of a search that is more than the engine's nearest, scores them and puts them in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from qdrant_client import models

from crl_qdrant.common.points import PointId
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.search.assemble import Completion
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.plan import choose
from crl_qdrant.search.request import Asked, Ranked
from crl_qdrant.search.scoring import composed, most_diverse, ranking, weighted
from crl_qdrant.search.space import Space
from crl_qdrant.search.strategies import Aim, among, narrowed, nearest
from crl_qdrant.stores import Store, VectorQuery

__all__ = ["Candidates", "ranked_pairs"]

_MODIFIER = "modifier"
_FEWEST_CANDIDATES = 50


def ranked_pairs(found: list[tuple[PointId, float]], space: Space) -> Ranked:
    """Points and their scores in one space, best first."""
    scores = np.array([score for _, score in found])
    return Ranked([point for point, _ in found], scores, {space.name: scores})


class Candidates:
    """The candidates of one collection's searches."""

    def __init__(self, store: Store, criteria: Criteria, resident: Resident, completion: Completion) -> None:
        self._store = store
        self._criteria = criteria
        self._resident = resident
        self._completion = completion

    def given(self, asked: Asked, ids: Sequence[PointId]) -> tuple[Ranked, int]:
        """Those of these points that may be hits, in order, and how many were scored."""
        query = asked.query
        ids = [each for each in dict.fromkeys(ids) if each not in asked.target.without]
        if query.query_filter is not None and ids:
            own = models.HasIdCondition(has_id=list(ids))
            ids = among(models.Filter(must=[query.query_filter, own]), self._store)
        ranked = self._scored(asked, ids)
        considered = len(ranked.ids)
        if query.score_threshold is not None:
            ranked = ranked.at(np.flatnonzero(ranked.scores >= query.score_threshold))
        return self._spread(asked, ranked) if query.diversity else ranked, considered

    def ranked(self, asked: Asked) -> tuple[Ranked, int]:
        """The candidates in order, as many as are needed, and how many were looked at."""
        query, number = asked.query, asked.end
        if not asked.is_plain or query.diversity:
            # what a candidate's score is depends on the others: the pages of one search are to have the same ones
            number = max(query.limit * query.oversample, _FEWEST_CANDIDATES)
            while number < asked.end:
                number *= 4
        elif query.group_by:
            number = max(number * 4, _FEWEST_CANDIDATES)
        while True:
            ranked, considered = self._find(asked, number)
            complete = len(ranked.ids) < number
            if query.score_threshold is not None:
                passing = np.flatnonzero(ranked.scores >= query.score_threshold)
                complete = complete or len(passing) < len(ranked.ids)
                ranked = ranked.at(passing)
            # variants of a product take places: look further until there are products enough, or no more points
            if complete or not query.group_by:
                break
            if self._completion.number_of_groups(ranked.ids, query.group_by) >= asked.end:
                break
            number *= 4
        if query.diversity:
            ranked = self._spread(asked, ranked)
        return ranked, considered

    def _find(self, asked: Asked, number: int) -> tuple[Ranked, int]:
        """Candidates in order, at most `number` where one space is searched, and how many were scored by us."""
        if asked.is_plain:
            found, considered = nearest(
                asked.plan.strategy, asked.main, number, asked.query, self._store, self._resident
            )
            return ranked_pairs(found, asked.main.space), considered
        raw = Space.of(self._criteria, None)
        aims = [aim for name, aim in asked.aims.items() if asked.weights[name] > 0]
        if not aims:
            # what is unlike in some respect is looked for among what is alike overall
            aims = [Aim(raw, asked.target)]
        if asked.modifier is not None:
            text = (asked.modifier / np.linalg.norm(asked.modifier)).astype(np.float32)
            aims.append(Aim(raw, replace(asked.target, like=text[None], unlike=asked.target.unlike[:0])))
        plans = [choose(aim.space, asked.query, self._resident) for aim in aims]
        scored = (aim.space for aim in asked.aims.values())
        if all(plan.strategy == "named" for plan in plans) and all(space.has_index for space in scored):
            return self._rescored(asked, aims, number)
        candidates: dict[PointId, None] = {}
        for plan, aim in zip(plans, aims, strict=True):
            found, _ = nearest(plan.strategy, aim, number, asked.query, self._store, self._resident)
            candidates |= dict.fromkeys(point for point, _ in found)
        return self._scored(asked, list(candidates)), len(candidates)

    def _rescored(self, asked: Asked, aims: list[Aim], number: int) -> tuple[Ranked, int]:
        """The candidates by scores that the engine computes, from the named vectors: no embedding leaves it."""
        query, raw = asked.query, self._criteria.manifest.raw
        narrow = narrowed(query.query_filter, asked.target.without)
        wanted = [
            VectorQuery(aim.direction, aim.space.vector, number, query_filter=narrow, params=query.search_params)
            for aim in aims
        ]
        by = [(aim.direction, aim.space.vector) for aim in asked.aims.values()]
        if asked.modifier is not None:
            by.append((asked.modifier, raw.vector))
        found = self._store.rescore(wanted, by)
        # the engine's index may miss a point in one space; then it is scored from its embedding
        ids = list(dict.fromkeys(point for scores in found for point in scores))
        if any(len(scores) < len(ids) for scores in found):
            return self._scored(asked, ids), len(ids)
        parts = {
            name: np.array([scores[point] for point in ids]).clip(-1.0, 1.0)
            for name, scores in zip([*asked.aims, _MODIFIER], found, strict=False)
        }
        if asked.modifier is not None:  # the engine's cosine is that of a unit vector
            parts[_MODIFIER] *= float(np.linalg.norm(asked.modifier))
        return self._combined(asked, ids, parts), len(ids)

    def _scored(self, asked: Asked, candidates: list[PointId]) -> Ranked:
        """The candidates by exact scores, computed from their raw embeddings."""
        ids, embeddings = self._resident.embeddings_of(candidates)
        if not ids:
            return Ranked([], np.empty(0), {})
        parts = {
            name: (aim.space.represent(embeddings).astype(np.float64) @ aim.direction).clip(-1.0, 1.0)
            for name, aim in asked.aims.items()
        }
        if asked.modifier is not None:
            parts[_MODIFIER] = embeddings.astype(np.float64) @ asked.modifier
        return self._combined(asked, ids, parts)

    @staticmethod
    def _combined(asked: Asked, ids: list[PointId], parts: dict[str, np.ndarray]) -> Ranked:
        """The candidates in the order of their combined score."""
        if not ids:
            return Ranked([], np.empty(0), {})
        if asked.modifier is not None:
            similarity, modifier = parts.values()
            scores = composed(similarity, modifier, asked.query.criterion_weight)
        else:
            scores = parts[asked.main.space.name] if asked.is_plain else weighted(parts, asked.weights)
        return Ranked(ids, scores, parts).at(ranking(scores, ids))

    def _spread(self, asked: Asked, ranked: Ranked) -> Ranked:
        """The candidates in an order that avoids near-duplicates in the criterion's own space."""
        ids, embeddings = self._resident.embeddings_of(ranked.ids)
        if not ids:
            return ranked
        row = {point: at for at, point in enumerate(ids)}
        ranked = ranked.at([at for at, point in enumerate(ranked.ids) if point in row])
        representations = asked.main.space.represent(embeddings[[row[point] for point in ranked.ids]])
        number = len(ranked.ids) if asked.query.group_by else asked.end
        return ranked.at(most_diverse(ranked.scores, representations, diversity=asked.query.diversity, limit=number))
