"""Inspection of a criterion: the geometry of its words, and how often and by which items each is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from crl_qdrant.analysis.geometry import common_share, effective_rank, Overlap, overlap
from crl_qdrant.analysis.sample import draw, Sample
from crl_qdrant.common.arguments import whole_number
from crl_qdrant.criteria.manifest import StoredCriterion
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.search.results import Hit
from crl_qdrant.stores import Store, WithPayload

__all__ = ["Inspection", "WordUse", "inspect"]

_NEARLY_ALL: Final = 0.99


@dataclass(frozen=True, slots=True)
class WordUse:
    """Use of one word by a sample of the collection.

    Attributes:
        word: the word.
        fires: share of the items that it fires for: it is among the words that they are more of than the average item
            is, and of these among the first `top`.
        above: share of the items that are more similar to it than to the criterion's words on average.
        examples: the items that it fires for, those that are most of it first; the score is their excess.
    """

    word: str
    fires: float
    above: float
    examples: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """A criterion's words among themselves and on a sample of the collection.

    Attributes:
        criterion: its name.
        words: each word's use, the one that fires most often first.
        rank: dimensions of the representations.
        effective_rank: the number of directions in which the words differ, from 1 to K - 1: exp of the entropy of the
            shares of the centred words' squared singular values.
        common: share of the words' embeddings that is common to all of them, |mean of T|² in [0, 1].
        overlaps: by other criterion, the overlap of the two criteria's leading directions.
        items: number of items in the sample.
        lift: how much more than chance (1) the words tell of the images, where the criterion was fitted to them.
        rest: the plain image's share of the cosine.
    """

    criterion: str
    words: tuple[WordUse, ...]
    rank: int
    effective_rank: float
    common: float
    overlaps: Mapping[str, Overlap]
    items: int
    lift: float | None
    rest: float

    @property
    def never(self) -> list[str]:
        """Words that fire for no item: the catalogue has nothing like that, or another word fits better."""
        return [each.word for each in self.words if self.items and not each.fires]

    @property
    def always(self) -> list[str]:
        """Words that nearly all items (99 %) are more similar to than to the average word: they tell no items apart.

        Such a word may still fire for no item, and so be among `never` too.
        """
        return [each.word for each in self.words if self.items and each.above >= _NEARLY_ALL]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return {
            "criterion": self.criterion,
            "items": self.items,
            "rank": self.rank,
            "effective_rank": self.effective_rank,
            "common": self.common,
            "lift": self.lift,
            "rest": self.rest,
            "overlaps": {name: each._asdict() for name, each in self.overlaps.items()},
            "never": self.never,
            "always": self.always,
            "words": [
                {
                    "word": each.word,
                    "fires": each.fires,
                    "above": each.above,
                    "examples": [{"id": hit.id, "score": hit.score, "payload": hit.payload} for hit in each.examples],
                }
                for each in self.words
            ],
        }


def inspect(
    store: Store,
    criteria: Criteria,
    name: str,
    *,
    sample: int,
    top: int,
    examples: int,
    seed: int,
    with_payload: WithPayload,
) -> Inspection:
    """Inspect a criterion; `CRLCollection.inspect` has the arguments and errors."""
    sample, top = whole_number("sample", sample, least=1), whole_number("top", top, least=1)
    examples, seed = whole_number("examples", examples, least=0), whole_number("seed", seed, least=0)
    stored = criteria.find(name)
    every = {each: kept.criterion.embeddings for each, kept in criteria.manifest.criteria.items()}
    texts = {each: rows for each, rows in every.items() if rows is not None}
    ours = texts.pop(name)
    drawn = draw(store, criteria.manifest.raw, sample, seed=seed)
    return Inspection(
        name,
        _words(store, stored, drawn, top=top, examples=examples, with_payload=with_payload),
        stored.rank,
        effective_rank(ours),
        common_share(ours),
        {other: overlap(ours, theirs) for other, theirs in texts.items()},
        len(drawn.ids),
        stored.projection.lift,
        stored.projection.rest,
    )


def _words(
    store: Store, stored: StoredCriterion, sample: Sample, *, top: int, examples: int, with_payload: WithPayload
) -> tuple[WordUse, ...]:
    from crl_qdrant.search.explain import WordSpace

    words = stored.criterion.words
    if not sample.ids:
        return tuple(WordUse(word, 0.0, 0.0, ()) for word in words)
    space = WordSpace(stored.projection, words, sample.embeddings)
    more = space.more(sample.embeddings)
    first = np.argsort(-more, axis=1, kind="stable")[:, :top]
    fires = np.zeros(more.shape, dtype=bool)
    np.put_along_axis(fires, first, values=True, axis=1)
    fires &= more > 0
    # not of the sharpened form, which moves the average word up to the few that an item is most of
    rows = stored.projection.similarities(sample.embeddings.astype(np.float64)) @ stored.projection.words.T
    above = (rows > rows.mean(axis=1, keepdims=True)).mean(axis=0)
    chosen = [
        [at for at in np.argsort(-more[:, k], kind="stable")[:examples].tolist() if fires[at, k]]
        for k in range(len(words))
    ]
    shown = list(dict.fromkeys(sample.ids[at] for ats in chosen for at in ats))
    payloads = {}
    if shown and with_payload:
        payloads = {record.id: record.payload for record in store.retrieve(shown, with_payload=with_payload)}
    uses = [
        WordUse(
            word,
            float(fires[:, k].mean()),
            float(above[k]),
            tuple(Hit(sample.ids[at], float(more[at, k]), payloads.get(sample.ids[at])) for at in chosen[k]),
        )
        for k, word in enumerate(words)
    ]
    return tuple(sorted(uses, key=lambda use: -use.fires))
