"""Every way to search, against a brute force in float64, on every store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from failing_store import failing_store, store_of
from fakes import by_words, ColourEncoder, picture, unit
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from qdrant_client import models, QdrantClient

from crl_qdrant import Criterion, CRLCollection, EmbeddingError, Hits, InputError, NotFoundError, Query

RNG = np.random.default_rng(5)
DIMENSION, NUMBER = 12, 150
ROWS = unit(RNG.normal(size=(NUMBER, DIMENSION)) + 0.4)
TEXTS = {name: unit(RNG.normal(size=(5, DIMENSION)) + 0.3) for name in ("fabric", "cut")}
# one by the default, one by other options; and the same in the words of the reference
OPTIONS: dict[str, dict[str, Any]] = {"fabric": {}, "cut": {"sharpen": 0, "weighting": 0.5}}


def representation(name: str | None, rows: np.ndarray) -> np.ndarray:
    """By the definition of the options, in word space: float64, unit rows."""
    if name is None:
        return unit(rows)
    return by_words(rows, TEXTS[name], **OPTIONS[name])


def cosines(name: str | None, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.asarray(representation(name, rows) @ representation(name, query[None])[0])


class Shop:
    """A collection of both kinds of criteria, and what it should hold, kept beside it."""

    def __init__(self, location: Any, name: str, *, materialized: bool, scan_memory: int = 1 << 30) -> None:
        self.products = CRLCollection.create(name, location=location, dimension=DIMENSION, scan_memory=scan_memory)
        self.rows: dict[int, np.ndarray] = {}
        self.put(dict(enumerate(ROWS)))
        for criterion, texts in TEXTS.items():
            self.products.define(Criterion(criterion, list("abcde"), embeddings=texts, **OPTIONS[criterion]))
            if materialized:
                self.products.materialize(criterion)

    def put(self, rows: dict[int, np.ndarray]) -> None:
        payloads = [{"third": n % 3, "family": n // 4, "maker": {"name": f"m{n % 5}"}} for n in rows]
        self.products.add(list(rows), embeddings=np.stack(list(rows.values())), payloads=payloads)
        self.rows |= rows

    def remove(self, ids: list[int]) -> None:
        self.products.delete(ids)
        for each in ids:
            self.rows.pop(each, None)

    def expected(self, name: str | None, query: np.ndarray, *, third: int | None = None) -> dict[int, float]:
        ids = [n for n in self.rows if third is None or n % 3 == third]
        if not ids:
            return {}
        return dict(zip(ids, cosines(name, query, np.stack([self.rows[n] for n in ids])), strict=True))


THIRD = [
    models.Filter(must=[models.FieldCondition(key="third", match=models.MatchValue(value=value))]) for value in range(3)
]


@pytest.fixture(scope="module", params=["edge", "client"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if request.param == "edge":
        yield tmp_path_factory.mktemp("data")
        return
    client = QdrantClient(":memory:")
    yield client
    client.close()


@pytest.fixture(scope="module")
def shop(place: Any) -> Iterator[Shop]:
    made = Shop(place, "shop", materialized=False)
    yield made
    made.products.close()


@pytest.fixture(scope="module")
def changing_shop(place: Any) -> Iterator[Shop]:
    """A shop for the test that writes; the others must find theirs as it was made."""
    made = Shop(place, "changing", materialized=False)
    yield made
    made.products.close()


@pytest.fixture(scope="module")
def indexed(place: Any) -> Iterator[Shop]:
    made = Shop(place, "indexed", materialized=True)
    yield made
    made.products.close()


def assert_best(hits: Hits, expected: dict[int, float], limit: int, *, within: float = 2e-3) -> None:
    """Each rank has the score that belongs there, and each hit its own score."""
    best = sorted(expected.values(), reverse=True)[:limit]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=within)
    assert [hit.score for hit in hits] == pytest.approx([expected[int(hit.id)] for hit in hits], abs=within)


vectors = (
    st.lists(st.floats(-1, 1, width=32), min_size=DIMENSION, max_size=DIMENSION)
    .map(np.array)
    .filter(lambda row: np.linalg.norm(row) > 0.3)
)
anything = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@anything
@given(
    query=vectors,
    name=st.sampled_from([None, "fabric", "cut"]),
    strategy=st.sampled_from(["auto", "named", "scan", "rerank"]),
    third=st.sampled_from([None, 0, 1, 2]),
    limit=st.integers(1, 40),
)
def test_every_strategy_is_the_brute_force(
    indexed: Shop, query: np.ndarray, name: str | None, strategy: str, third: int | None, limit: int
) -> None:
    hits = indexed.products.search(
        embedding=query,
        criterion=name,
        strategy=strategy,
        limit=limit,
        oversample=NUMBER,  # with all points as candidates the rerank has nothing to miss
        query_filter=None if third is None else THIRD[third],
    )
    assert_best(hits, indexed.expected(name, query, third=third), limit)
    assert hits.plan.strategy == (strategy if strategy != "auto" else "named")


@anything
@given(st.data())
def test_every_strategy_keeps_step_with_writes(changing_shop: Shop, data: st.DataObject) -> None:
    """Deletes, additions and replacements in between; the scan's cache must follow."""
    ids = data.draw(st.lists(st.integers(0, 200), min_size=1, max_size=20, unique=True))
    if data.draw(st.booleans()):
        changing_shop.remove(ids)
    else:
        changing_shop.put(
            dict(zip(ids, unit(np.random.default_rng(ids[0]).normal(size=(len(ids), DIMENSION))), strict=True))
        )
    query = data.draw(vectors)
    for strategy in ("scan", "rerank"):
        name = data.draw(st.sampled_from(["fabric", "cut"]))
        hits = changing_shop.products.search(embedding=query, criterion=name, strategy=strategy, oversample=300)
        # a row that has little part in the words has a large relative error in half precision
        assert_best(hits, changing_shop.expected(name, query), 10, within=5e-3)


@anything
@given(
    query=vectors,
    weights=st.dictionaries(
        st.sampled_from(["fabric", "cut"]), st.floats(-2, 2).filter(lambda weight: abs(weight) > 0.01), min_size=2
    ),
    third=st.sampled_from([None, 1]),
)
def test_several_criteria_are_the_standardised_weighted_sum(
    indexed: Shop, query: np.ndarray, weights: dict[str, float], third: int | None
) -> None:
    number = 200  # more than there are points, so that all are candidates
    hits = indexed.products.search(
        embedding=query, criterion=weights, limit=number, query_filter=None if third is None else THIRD[third]
    )
    parts = {name: indexed.expected(name, query) for name in weights}
    total = {n: 0.0 for n in indexed.rows if third is None or n % 3 == third}
    for name, weight in weights.items():
        values = np.array(list(parts[name].values()))  # of the whole collection, whatever the filter
        for n in total:
            total[n] += weight * (parts[name][n] - values.mean()) / values.std()
    assert_best(hits, total, number, within=1e-3)
    for hit in hits[:5]:
        assert dict(hit.scores) == pytest.approx({name: parts[name][int(hit.id)] for name in weights}, abs=1e-5)


def test_one_weighted_criterion_is_that_criterion(indexed: Shop) -> None:
    plain = indexed.products.search(embedding=ROWS[3], criterion="cut")
    assert [h.id for h in indexed.products.search(embedding=ROWS[3], criterion={"cut": 0.3, "fabric": 0})] == [
        h.id for h in plain
    ]


def test_unlike_in_one_respect_alone_is_looked_for_among_what_is_alike_overall(indexed: Shop) -> None:
    hits = indexed.products.search(embedding=ROWS[3], criterion={"cut": -1.0}, limit=5, oversample=10)
    nearest = {hit.id for hit in indexed.products.search(embedding=ROWS[3], limit=100)}
    expected = {n: value for n, value in indexed.expected("cut", ROWS[3]).items() if n in nearest}
    assert [hit.id for hit in hits] == sorted(expected, key=lambda n: expected[n])[:5]


class Wordy(ColourEncoder):
    """Images and texts as they come from a table, so that scores can be worked out beside it."""

    name = "wordy"
    dimension = DIMENSION
    texts = {text: unit(RNG.normal(size=DIMENSION)) for text in ("with a dog", "a dog beside it", "a blue coat")}  # noqa: RUF012

    def encode_texts(self, texts: Any) -> np.ndarray:
        return np.stack([self.texts[text] for text in texts])


@pytest.fixture(scope="module", params=[False, True], ids=["scan", "named"])
def wordy(request: pytest.FixtureRequest, place: Any) -> Iterator[CRLCollection]:
    made = CRLCollection.create(f"wordy-{request.param}", location=place, encoder=Wordy())
    made.add(range(NUMBER), embeddings=ROWS)
    made.define(Criterion("fabric", list("vwxyz"), embeddings=TEXTS["fabric"]))
    if request.param:
        made.materialize("fabric")
    yield made
    made.close()


@pytest.mark.parametrize("criterion", [None, "fabric"])
@pytest.mark.parametrize("weight", [10.0, 1.0, 0.0])
@pytest.mark.parametrize("modifier", ["with a dog", ["with a dog", "a dog beside it"]])
def test_composed_retrieval_is_the_papers_formula(
    wordy: CRLCollection, criterion: str | None, weight: float, modifier: str | list[str]
) -> None:
    phrasings = [modifier] if isinstance(modifier, str) else modifier
    hits = wordy.search(
        embedding=ROWS[7],
        criterion=criterion,
        modifier=modifier,
        criterion_weight=weight,
        scoring="paper",
        limit=NUMBER,
        oversample=1,
    )
    s2 = cosines(criterion, ROWS[7], ROWS)
    s1 = np.mean([ROWS @ Wordy.texts[text] for text in phrasings], axis=0)
    expected = weight * s2 / np.linalg.norm(s2) + s1 / np.linalg.norm(s1)
    assert len(hits) == NUMBER
    assert_best(hits, dict(enumerate(expected)), NUMBER, within=1e-5)
    assert hits[0].scores["modifier"] == pytest.approx(s1[int(hits[0].id)], abs=1e-5)
    assert hits[0].scores[criterion or "image"] == pytest.approx(s2[int(hits[0].id)], abs=1e-5)


def test_candidates_of_a_composed_search_are_the_union_of_both(wordy: CRLCollection) -> None:
    options: dict[str, Any] = {"scoring": "paper", "limit": 5, "oversample": 5}
    hits = wordy.search(embedding=ROWS[7], criterion="fabric", modifier="with a dog", **options)
    s2, s1 = cosines("fabric", ROWS[7], ROWS), ROWS @ Wordy.texts["with a dog"]
    union = sorted({*np.argsort(-s2)[:50].tolist(), *np.argsort(-s1)[:50].tolist()})
    assert hits.plan.candidates == len(union)
    expected = 10 * s2[union] / np.linalg.norm(s2[union]) + s1[union] / np.linalg.norm(s1[union])
    assert_best(hits, dict(zip(union, expected, strict=True)), 5, within=1e-5)
    assert not hits.plan.exact


def test_equal_scores_are_ordered_by_id(place: Any) -> None:
    made = CRLCollection.create("ties", location=place, encoder=Wordy())
    made.add([9, 3, 7, 1], embeddings=np.stack([ROWS[0]] * 4))
    made.define(Criterion("fabric", list("vwxyz"), embeddings=TEXTS["fabric"]))
    for _ in range(2):
        hits = made.search(embedding=ROWS[1], criterion="fabric", modifier="with a dog")
        assert [hit.id for hit in hits] == [1, 3, 7, 9]
        made.materialize("fabric")
    made.close()


@pytest.mark.parametrize("name", [None, "fabric", "cut"])
def test_several_examples_and_negatives(indexed: Shop, name: str | None) -> None:
    place = {n: representation(name, ROWS[n][None])[0] for n in (2, 5, 9)}
    direction = 2 * place[2] - np.mean([place[5], place[9]], axis=0)
    hits = indexed.products.search(like=2, unlike=[5, 9], criterion=name, limit=20)
    scores = representation(name, ROWS) @ unit(direction)
    expected = {n: score for n, score in enumerate(scores) if n not in (2, 5, 9)}
    assert_best(hits, expected, 20, within=1e-5)


def test_several_images_are_their_mean(place: Any) -> None:
    made = CRLCollection.create("colours", location=place, encoder=ColourEncoder())
    made.add([1, 2, 3, 4], images=[picture(c) for c in ("red", "blue", "green", (128, 0, 128))])
    assert made.search(images=[picture("red"), picture("blue")], limit=1)[0].id == 4
    assert made.search(images=[picture("red"), picture("blue")], unlike=[picture("blue")], limit=1)[0].id == 1
    made.close()


def test_without_an_index_and_without_memory_it_reranks_and_says_so(place: Any) -> None:
    made = Shop(place, "small-memory", materialized=False, scan_memory=100)
    query = Query(embedding=ROWS[0], criterion="fabric")
    plan = made.products.explain_plan(query)
    assert (plan.strategy, plan.exact) == ("rerank", False)
    assert "exceed scan_memory" in plan.reason
    hits = made.products.search(embedding=ROWS[0], criterion="fabric", oversample=5)
    assert not hits.plan.exact
    assert 50 <= hits.plan.candidates <= 100
    with pytest.raises(InputError, match="raise `scan_memory`"):
        made.products.search(embedding=ROWS[0], criterion="fabric", strategy="scan")
    with pytest.raises(InputError, match="recall needs the exact answer"):
        made.products.estimate_recall("fabric")
    made.products.materialize("fabric")
    assert made.products.explain_plan(query).strategy == "named"
    recalls = [made.products.estimate_recall("fabric", oversample=n) for n in (1, 4, 30)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1.0
    made.products.close()


def test_plans_say_why(shop: Shop, indexed: Shop) -> None:
    plans = {
        "named vector of every point": indexed.products.explain_plan(Query(text="x", criterion="cut")),
        "cut is not materialized, and": shop.products.explain_plan(Query(text="x", criterion="cut")),
        "it was asked for": indexed.products.explain_plan(Query(text="x", criterion="cut", strategy="scan")),
    }
    assert all(reason in plan.reason for reason, plan in plans.items())
    assert [plan.exact for plan in plans.values()] == [False, True, True]
    exact = Query(text="x", criterion="cut", search_params=models.SearchParams(exact=True))
    assert indexed.products.explain_plan(exact).exact
    mixed = indexed.products.explain_plan(Query(text="x", criterion={"cut": 1, "fabric": -1}))
    assert (mixed.strategy, mixed.exact) == ("named", False)
    hits = indexed.products.search(embedding=ROWS[0])
    assert set(hits.plan.seconds) == {"query", "search"}
    assert all(seconds >= 0 for seconds in hits.plan.seconds.values())


def test_a_strategy_that_cannot_be_is_refused(shop: Shop) -> None:
    with pytest.raises(InputError, match="not materialized"):
        shop.products.search(embedding=ROWS[0], criterion="cut", strategy="named")
    with pytest.raises(InputError, match="auto, named, scan, rerank, got 'fast'"):
        shop.products.search(embedding=ROWS[0], strategy="fast")


@pytest.mark.parametrize("strategy", ["named", "scan", "rerank"])
def test_offset_threshold_and_payload(indexed: Shop, strategy: str) -> None:
    def search(**options: Any) -> Hits:
        options |= {"criterion": "cut", "strategy": strategy, "oversample": NUMBER}
        return indexed.products.search(embedding=ROWS[4], **options)

    everything = search(limit=30)
    assert [hit.id for hit in search(limit=10, offset=7)] == [hit.id for hit in everything[7:17]]
    assert search(limit=5, offset=NUMBER + 5) == []
    least = everything[11].score - 1e-6
    assert [hit.id for hit in search(limit=30, score_threshold=least)] == [hit.id for hit in everything[:12]]
    assert [hit.id for hit in search(limit=30, score_threshold=least, offset=10)] == [h.id for h in everything[10:12]]
    assert search(limit=1, with_payload=["third"])[0].payload == {"third": int(everything[0].id) % 3}
    assert search(limit=1, with_payload=False)[0].payload is None
    assert everything[0].scores == {"cut": pytest.approx(everything[0].score)}


@pytest.mark.parametrize("criterion", ["cut", {"cut": 1.0, "fabric": -0.5}, None], ids=str)
def test_variants_are_folded_to_the_best_of_each(indexed: Shop, criterion: Any) -> None:
    def search(limit: int, **options: Any) -> Hits:
        options |= {"criterion": criterion, "oversample": NUMBER}
        return indexed.products.search(embedding=ROWS[4], limit=limit, **options)

    every = search(NUMBER)
    first: dict[int, int] = {}
    for hit in every:
        first.setdefault(int(hit.id) // 4, int(hit.id))
    hits = search(12, offset=3, group_by="family")
    assert [hit.id for hit in hits] == list(first.values())[3:15]
    assert [hit.group for hit in hits] == [int(hit.id) // 4 for hit in hits]
    few = search(12, group_by="maker.name")
    assert {hit.group for hit in few} == {f"m{n}" for n in range(5)}
    assert len(few) == 5
    with pytest.warns(UserWarning, match="no item has a field 'nothing'"):
        alone = search(12, group_by="nothing")
    assert len(alone) == 12
    assert {hit.group for hit in alone} == {None}


def test_diversity_spreads_and_none_keeps_the_order(place: Any) -> None:
    rows = np.concatenate([ROWS[:1] + 0.01 * RNG.normal(size=(10, DIMENSION)), ROWS[1:20]])
    made = CRLCollection.create("twins", location=place, dimension=DIMENSION)
    made.add(range(len(rows)), embeddings=rows)
    made.define(Criterion("fabric", list("abcde"), embeddings=TEXTS["fabric"]))
    for _ in range(2):
        plain, hardly, spread = (
            made.search(embedding=ROWS[0], criterion="fabric", limit=5, diversity=diversity)
            for diversity in (0.0, 1e-9, 0.7)
        )
        assert all(int(hit.id) < 10 for hit in plain)
        assert [hit.id for hit in hardly] == [hit.id for hit in plain]
        assert spread[0].id == plain[0].id
        assert sum(int(hit.id) < 10 for hit in spread) == 1
        made.materialize("fabric")
    made.close()


@pytest.mark.parametrize("criterion", ["fabric", "cut", {"fabric": 1.0, "cut": 0.5}], ids=str)
@pytest.mark.parametrize("materialized", [False, True])
def test_explanations_add_up_to_the_score(shop: Shop, indexed: Shop, criterion: Any, materialized: bool) -> None:
    products = indexed.products if materialized else shop.products
    hits = products.search(embedding=ROWS[4], criterion=criterion, explain=True, limit=8)
    for hit in hits:
        assert set(hit.explanation) == set(hit.scores)
        for name, explanation in hit.explanation.items():
            total = explanation.common + sum(word.share for word in explanation.words) + explanation.rest
            assert total == pytest.approx(hit.scores[name], abs=2e-3 if not materialized else 1e-5)
            assert sorted(word.word for word in explanation.words) == list("abcde")
            shares = [word.share for word in explanation.words]
            assert shares == sorted(shares, reverse=True)
            assert set(explanation.matched) <= {w.word for w in explanation.words if w.query > 0 and w.hit > 0}


def test_describing_an_image_names_its_words(shop: Shop) -> None:
    mean = representation("fabric", np.stack(list(shop.rows.values()))[:1000]).mean(axis=0)
    more = (representation("fabric", ROWS[4][None])[0] - mean).reshape(2, 5).sum(axis=0)
    described = shop.products.describe(embedding=ROWS[4], criterion="fabric", limit=3)
    assert [word for word, _ in described] == ["abcde"[k] for k in np.argsort(-more)[:3]]
    assert [value for _, value in described] == pytest.approx(np.sort(more)[::-1][:3], abs=1e-4)


@pytest.mark.parametrize("criterion", ["cut", None, {"cut": 1.0, "fabric": 1.0}], ids=str)
def test_someone_elses_results_are_reordered(indexed: Shop, criterion: Any) -> None:
    given = [80, 3, 41, 41, 9999, 12]
    hits = indexed.products.rerank(None, given, embedding=ROWS[4], criterion=criterion, explain=True)
    assert {hit.id for hit in hits} == {80, 3, 41, 12}
    if not isinstance(criterion, dict):
        expected = {n: score for n, score in indexed.expected(criterion, ROWS[4]).items() if n in given}
        assert_best(hits, expected, 4, within=1e-5)
    again = indexed.products.rerank(None, hits, embedding=ROWS[4], criterion=criterion, limit=2)
    assert [hit.id for hit in again] == [hit.id for hit in hits[:2]]
    with pytest.raises(InputError, match="must have at least one entry"):
        indexed.products.rerank(None, [], embedding=ROWS[4])


def test_a_batch_is_its_queries_one_by_one(shop: Shop, indexed: Shop) -> None:
    for products in (shop.products, indexed.products):
        names = (None, "cut", "fabric")
        queries = [Query(embedding=ROWS[n], criterion=name, limit=3 + n) for n in range(4) for name in names]
        queries += [
            Query(like=7, criterion="cut", limit=4),
            Query(like=8, unlike=[9, 10], criterion="cut", limit=4, offset=2, with_payload=["third"]),
            Query(like=9, criterion="cut", limit=4, with_payload=False),
            Query(embedding=ROWS[1], criterion="cut", query_filter=THIRD[1]),
            Query(embedding=ROWS[1], criterion="cut", score_threshold=0.5, offset=1),
            Query(embedding=ROWS[1], criterion={"cut": 1.0, "fabric": -1.0}),
            Query(embedding=ROWS[1], criterion="cut", group_by="family", explain=True),
            Query(embedding=ROWS[1], criterion="cut", score_threshold=2.0),
        ]
        together = products.search_batch(queries)
        assert len(together) == len(queries)
        for query, hits in zip(queries, together, strict=True):
            single = products._searcher.run(query)
            assert [hit.id for hit in hits] == [hit.id for hit in single]
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in single], abs=1e-6)
            assert [hit.payload for hit in hits] == [hit.payload for hit in single]
        assert products.search_batch([]) == []
    with pytest.raises(InputError, match="must be Query objects, got dict"):
        indexed.products.search_batch([{"like": 1}])  # type: ignore[list-item]


def counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[int]:
    """The lengths of what the method `name` is called with, as they come."""
    calls: list[int] = []
    method = getattr(owner, name)

    def counting(values: Any, **options: Any) -> Any:
        calls.append(len(values))
        return method(values, **options)

    monkeypatch.setattr(owner, name, counting)
    return calls


def test_a_batch_is_embedded_and_read_together(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = ColourEncoder()
    made = CRLCollection.create("batch", location=place, encoder=encoder)
    made.add([1, 2, 3], images=[picture("red"), picture("blue"), picture("green")], payloads=[{"n": n} for n in "abc"])
    made.define(Criterion("colour", ["red", "blue", "green", "black"]))
    images, texts = counted(monkeypatch, encoder, "encode_images"), counted(monkeypatch, encoder, "encode_texts")
    reads = counted(monkeypatch, store_of(made), "retrieve")
    options: dict[str, Any] = {"criterion": "colour", "limit": 1}
    queries = [Query(image=picture(colour), **options) for colour in ("blue", "red")]
    queries += [Query(text=text, **options) for text in ("something red", "something green")]
    queries += [Query(embedding=[0, 0, 1, 0.5], with_payload=["m"], **options)]
    found = made.search_batch(queries)
    assert [(hits[0].id, hits[0].payload) for hits in found] == [
        *((2, {"n": "b"}), (1, {"n": "a"}), (1, {"n": "a"}), (3, {"n": "c"}), (2, {}))
    ]
    assert (images, texts) == ([2], [2])
    # the embeddings of what a scan finds, each payload once, and the part of one that was wished for
    assert reads == [3, 3, 1]
    made.close()


def test_refresh_sees_what_others_wrote(place: Any) -> None:
    made = Shop(place, "others", materialized=False)
    assert len(made.products.search(embedding=ROWS[0], criterion="fabric", limit=500)) == NUMBER
    store_of(made.products).upsert([900], {"image": ROWS[:1].astype(np.float32)}, [{}])
    made.products.refresh()
    hits = made.products.search(embedding=ROWS[0], criterion="fabric", limit=500)
    assert len(hits) == NUMBER + 1
    store_of(made.products).delete([900])
    assert len(made.products.search(embedding=ROWS[0], criterion="fabric", limit=500)) == NUMBER  # gone, so no hit
    made.products.close()


def test_search_params_reach_the_engine(indexed: Shop) -> None:
    params = models.SearchParams(
        hnsw_ef=64,
        exact=True,
        quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0),
        acorn=models.AcornSearchParams(enable=True, max_selectivity=0.3),
    )
    hits = indexed.products.search(embedding=ROWS[0], criterion="cut", search_params=params)
    assert_best(hits, indexed.expected("cut", ROWS[0]), 10)
    assert hits.plan.exact


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"like": 1, "offset": -1}, "`offset` must be at least 0"),
        ({"like": 1, "oversample": 0}, "oversample"),
        ({"like": 1, "diversity": 1.0}, "`diversity` must be at least 0 and below 1"),
        ({"like": 1, "criterion_weight": -1}, "criterion_weight"),
        ({"like": 1, "criterion": {}}, "empty mapping"),
        ({"like": 1, "criterion": {"cut": 0}}, "weight 0"),
        ({"like": 1, "criterion": {"cut": "much"}}, "must be a number, got 'much'"),
        ({"like": 1, "criterion": {"cut": float("nan")}}, "must be a number"),
        ({"like": 1, "modifier": " "}, "`modifier` must be a text"),
        ({"like": 1, "modifier": []}, "`modifier` must be a text"),
        ({"like": 1, "criterion": {"cut": 1, "fabric": 1}, "scoring": "paper"}, "takes one criterion"),
        ({"like": 1, "criterion": {"cut": 1e308, "fabric": 1e308}}, "the weight of criterion 'cut' must be 0, or from"),
        ({"like": 1, "criterion": {"cut": -1e-300}}, "the weight of criterion 'cut' must be 0, or from"),
        ({"like": 1, "criterion_weight": 1e308}, "`criterion_weight` must be from 0 to"),
        ({"like": 1, "scoring": "own"}, "`scoring` must be one of standardized, paper, got 'own'"),
        ({"like": 1, "limit": 2**64}, "`limit` must be"),
        ({"like": 1, "expand": -1}, "`expand` must be"),
        ({"like": 1, "min_closeness": 1.5}, "`min_closeness` must be from 0 to 1, got 1.5"),
        ({"text": "x", "min_closeness": 0.3}, "a text is no image"),
        ({"images": []}, "`images` must be a list with at least one entry"),
        ({"images": "a.jpg"}, "`images` must be a list"),
        ({"like": 1, "unlike": []}, "`unlike` must be a list"),
    ],
)
def test_queries_that_cannot_be(indexed: Shop, arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        indexed.products.search(**arguments)


def test_examples_that_cannot_be(indexed: Shop) -> None:
    with pytest.raises(NotFoundError, match="no point 4444"):
        indexed.products.search(like=1, unlike=[4444])
    with pytest.raises(NotFoundError, match="no criterion 'shape'"):
        indexed.products.search(like=1, criterion={"cut": 1.0, "shape": 1.0})


def test_examples_that_cancel_out(place: Any) -> None:
    class Opposite(ColourEncoder):
        def encode_images(self, images: Any) -> np.ndarray:
            return np.array([[1.0 if image.getpixel((0, 0))[0] else -1.0, 0, 0, 0] for image in images])

    made = CRLCollection.create("opposite", location=place, encoder=Opposite())
    with pytest.raises(EmbeddingError, match="cancel each other out"):
        made.search(images=[picture("red"), picture("blue")])
    made.close()


def test_what_another_process_did_to_a_criterion_is_seen_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    client = QdrantClient(":memory:")
    ours = Shop(client, "both", materialized=True)
    theirs = CRLCollection.open("both", location=client)
    other = unit(RNG.normal(size=(4, DIMENSION)))
    ours.products.drop_criterion("fabric")
    # dropped meanwhile: no bare error of the engine, but the one that says so
    with pytest.raises(NotFoundError, match="no criterion 'fabric'"):
        theirs.search(embedding=ROWS[0], criterion="fabric")
    ours.products.define(Criterion("fabric", list("wxyz"), embeddings=other))
    assert len(theirs.search(embedding=ROWS[0], criterion="fabric")) == 10
    ours.products.materialize("fabric")
    monkeypatch.setattr("crl_qdrant.criteria.registry._SEARCH_STALE_S", 0.0)
    monkeypatch.setattr("crl_qdrant.criteria.registry._WRITE_STALE_S", 0.0)
    assert theirs.search(embedding=ROWS[0], criterion="fabric").plan.strategy == "named"
    theirs.add([777], embeddings=ROWS[:1])
    assert ours.products.info().criteria[1].points == NUMBER + 1
    client.close()


@pytest.fixture(params=["edge", "client"])
def half(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Shop]:
    """One criterion materialized, the other not."""
    client = QdrantClient(":memory:")
    made = Shop(tmp_path if request.param == "edge" else client, "half", materialized=False)
    made.products.materialize("fabric")
    yield made
    made.products.close()
    client.close()


@pytest.mark.parametrize(
    "criterion", [{"fabric": 1.0, "cut": -0.5}, {"cut": -1.0}, {None: 1.0, "cut": -0.5}, {"fabric": -1.0, "cut": 1.0}]
)
def test_several_criteria_of_which_some_have_no_named_vector(half: Shop, criterion: dict[Any, float]) -> None:
    whole = half.products.search(like=1, criterion=criterion, limit=5)
    assert len(whole) == 5
    assert whole.plan.exact == any(weight > 0 for weight in criterion.values())
    for hit in whole:
        for name in criterion:
            wanted = cosines(name, ROWS[1], ROWS[hit.id][None])[0]
            assert hit.scores[name or "image"] == pytest.approx(wanted, abs=2e-3)
    half.products.materialize("cut")
    named = half.products.search(like=1, criterion=criterion, limit=5)
    assert [hit.id for hit in named] == [hit.id for hit in whole]


def test_rerank_takes_what_search_takes(half: Shop) -> None:
    products, ids = half.products, range(40)
    best = products.rerank(None, ids, embedding=ROWS[3], criterion="cut")
    assert [hit.score for hit in best] == sorted((hit.score for hit in best), reverse=True)
    least = best[9].score
    above = products.rerank(None, ids, embedding=ROWS[3], criterion="cut", score_threshold=least)
    assert [hit.id for hit in above] == [hit.id for hit in best[:10]]
    third = products.rerank(None, ids, embedding=ROWS[3], criterion="cut", query_filter=THIRD[1])
    assert [hit.id for hit in third] == [hit.id for hit in best if hit.id % 3 == 1]
    assert {1, 2}.isdisjoint(hit.id for hit in products.rerank(None, [1, 2, 3], like=1, unlike=[2], criterion="cut"))
    spread = products.rerank(None, ids, embedding=ROWS[3], criterion="cut", diversity=0.9)
    assert {hit.id for hit in spread} == set(ids)
    assert [hit.id for hit in spread] != [hit.id for hit in best]
    with pytest.raises(InputError, match="`limit` must be at least 1"):
        products.rerank(None, ids, embedding=ROWS[3], limit=0)
    with pytest.raises(InputError, match="`candidates` must be a list"):
        products.rerank(None, None, embedding=ROWS[3])  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"criterion": {"fabric": 1.0, None: 1.0}}, {"diversity": 0.5}])
def test_pages_neither_overlap_nor_leave_out(half: Shop, options: dict[str, Any]) -> None:
    whole = half.products.search(embedding=ROWS[0], limit=10, **options)
    pages = [half.products.search(embedding=ROWS[0], limit=10, offset=start, **options) for start in range(0, 50, 10)]
    found = [hit.id for page in pages for hit in page]
    assert len(set(found)) == len(found) == 50
    assert found[:10] == [hit.id for hit in whole]


def test_a_batch_may_be_a_generator(half: Shop) -> None:
    queries = [Query(embedding=ROWS[n], criterion="cut") for n in range(3)]
    assert half.products.search_batch(each for each in queries) == half.products.search_batch(queries)
    with pytest.raises(InputError, match="`queries` must be a list"):
        half.products.search_batch(None)  # type: ignore[arg-type]


def test_what_is_usual_is_known_anew_after_deletes_and_overwrites(half: Shop) -> None:
    products = half.products
    for change in (lambda: products.delete(range(20, 150)), lambda: half.put({n: ROWS[149 - n] for n in range(15)})):
        before = products.describe(like=1, criterion="cut")
        change()
        now = products.describe(like=1, criterion="cut")
        products.refresh()
        again = products.describe(like=1, criterion="cut")
        assert before != now
        assert [word for word, _ in now] == [word for word, _ in again]
        assert [more for _, more in now] == pytest.approx([more for _, more in again], abs=1e-6)
    products.delete(range(20))
    with pytest.raises(InputError, match="holds no item yet"):
        products.describe(embedding=ROWS[0], criterion="cut")


def test_the_scan_is_let_go_of_when_it_grows_too_large(tmp_path: Any) -> None:
    limit = 200 * DIMENSION * 2
    shop = Shop(tmp_path, "growing", materialized=False, scan_memory=limit)
    assert shop.products.search(embedding=ROWS[0], criterion="cut").plan.strategy == "scan"
    shop.put({1000 + n: row for n, row in enumerate(ROWS)})
    assert shop.products.search(embedding=ROWS[0], criterion="cut").plan.strategy == "rerank"


def test_groups_are_of_equal_values_and_no_others(tmp_path: Any) -> None:
    products = CRLCollection.create("odd", location=tmp_path, dimension=DIMENSION)
    values = [True, 1, 1.0, "1", [1], "[1]", {"a": 1, "b": 2}, {"b": 2, "a": 1}, None]
    payloads = [{"kind": value, "in": {"a.b": value}} for value in values]
    products.add(range(len(values)), embeddings=ROWS[: len(values)], payloads=payloads)
    for key in ("kind", 'in."a.b"'):
        hits = products.search(embedding=ROWS[0], limit=20, group_by=key)
        assert sorted(map(repr, (hit.group for hit in hits)))[:3] == sorted(["'1'", "'[1]'", "1"])[:3]
        assert len(hits) == 7
    with pytest.raises(InputError, match="a field's name must be like brand"):
        products.search(embedding=ROWS[0], group_by="list[].kind")


def test_representations_are_those_of_now(tmp_path: Any) -> None:
    client = QdrantClient(":memory:")
    shop = Shop(client, "shared", materialized=True)
    other = CRLCollection.open("shared", location=client)
    shop.products.define(Criterion("cut", list("abcde"), embeddings=TEXTS["fabric"], **OPTIONS["cut"]))
    shop.products.materialize("cut")
    ids, rows = other.representations("cut")
    assert len(ids) == NUMBER
    np.testing.assert_allclose(rows, shop.products.representations("cut")[1])
    shop.products.drop_criterion("cut")
    with pytest.raises(NotFoundError):
        other.representations("cut")
    client.close()


def test_a_write_that_is_interrupted_is_seen_by_the_scan(location: Any) -> None:
    products = CRLCollection.create("interrupted", location=location, dimension=4)
    products.add(range(20), embeddings=np.random.default_rng(0).normal(size=(20, 4)))
    wanted = np.array([1.0, 2.0, 3.0, 4.0])
    products.search(embedding=wanted, strategy="scan")  # which is now in memory
    for call in ("upsert", "delete"):
        # Ctrl-C during the engine's call is raised when that returns
        with failing_store(call, KeyboardInterrupt(), carried_out=True), pytest.raises(KeyboardInterrupt):
            products.add([100], embeddings=[wanted]) if call == "upsert" else products.delete([100])
        found = products.search(embedding=wanted, strategy="scan", limit=1)[0]
        assert (found.id == 100) == (call == "upsert")


def test_odd_forms_of_queries(location: Any) -> None:
    products = CRLCollection.create("odd", location=location, encoder=ColourEncoder())
    products.add([1, 2, 3], [picture("red"), picture("green"), picture("blue")])
    products.define(Criterion("colour", ["red", "green", "blue"]))
    once = products.search(like=1, criterion="colour", modifier=["warm", "cold"])
    assert products.search(like=1, criterion="colour", modifier=(each for each in ["warm", "cold"])) == once
    with pytest.raises(InputError, match="modifier"):
        products.search(like=1, modifier=5)  # type: ignore[arg-type]
    backwards = np.array([0, 0, 0, 1], dtype=np.float32)[::-1]
    read_only = np.array([1, 0, 0, 0], dtype=np.float32)
    read_only.flags.writeable = False
    for embedding in (backwards, read_only, np.full(4, 1e30, dtype=np.float32)):
        assert len(products.search(embedding=embedding, strategy="scan")) == 3


def test_recall_is_estimated_where_some_points_have_no_part_in_the_words(location: Any) -> None:
    products = CRLCollection.create("recall", location=location, dimension=4)
    products.add(range(5), embeddings=np.vstack([np.eye(4)[3], np.random.default_rng(0).normal(size=(4, 4))]))
    products.define(Criterion("a", ["x", "y", "z"], embeddings=np.eye(4)[:3], preset="paper"))
    assert products.estimate_recall("a", limit=2) == 1.0


def test_a_criterion_by_default_describes_a_query(location: Any) -> None:
    products = CRLCollection.create("default", location=location, dimension=DIMENSION)
    products.add(range(NUMBER), embeddings=ROWS)
    products.define(Criterion("cut", list("abcde"), embeddings=TEXTS["fabric"]))
    described = products.describe(like=1, criterion="cut", limit=5)
    assert {word for word, _ in described} == set("abcde")
    assert described == products.describe(embedding=ROWS[1], criterion="cut", limit=5)
    products.close()
