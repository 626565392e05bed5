"""Both stores answer alike; Edge's own ways are its store's business."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from qdrant_client import models, QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from crl_qdrant import ExistsError, FilterError, InputError, LockedError, NotFoundError, StoreError
from crl_qdrant.stores import create_store, open_store, Store, VectorQuery
from crl_qdrant.stores.edge.errors import translated


class GrpcError(grpc.RpcError):
    """As a call by gRPC raises it."""

    def __init__(self, status: grpc.StatusCode, text: str) -> None:
        self.status, self.text = status, text

    def code(self) -> grpc.StatusCode:
        return self.status

    def details(self) -> str:
        return self.text


KEY = "550e8400-e29b-41d4-a716-446655440000"
ROWS = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
PAYLOADS = [
    {"colour": "red", "price": 10.5, "tags": ["new", "sale"], "sold": True, "name": "a red dress"},
    {"colour": "red", "price": 20.0, "tags": [], "sold": False, "name": "a long red coat"},
    {"colour": "blue", "price": 30.0, "tags": ["new"], "sold": True, "name": "blue jeans"},
    {"colour": None, "price": 40, "size": 7, "parts": [{"m": "wool", "share": 80}, {"m": "silk", "share": 20}]},
    {"price": 50, "size": 8, "parts": [{"m": "wool", "share": 20}, {"m": "silk", "share": 80}]},
    {"where": {"lon": 13.4, "lat": 52.5}, "when": "2026-03-01T00:00:00Z"},
    {"where": {"lon": 2.35, "lat": 48.86}, "when": "2026-09-01T00:00:00Z"},
    {"size": 9, "nested": {"deep": {"colour": "red"}}},
]
IDS = [0, 1, 2, 3, 4, 5, 6, KEY]


def field(key: str, **condition: object) -> models.FieldCondition:
    return models.FieldCondition(key=key, **condition)


def line(*corners: tuple[float, float]) -> models.GeoLineString:
    return models.GeoLineString(points=[models.GeoPoint(lon=lon, lat=lat) for lon, lat in corners])


EUROPE = line((0, 45), (15, 45), (15, 55), (0, 55), (0, 45))
GERMANY = line((6, 47), (15, 47), (15, 55), (6, 55), (6, 47))
CONDITIONS: dict[str, models.Condition] = {
    "value": field("colour", match=models.MatchValue(value="red")),
    "integer": field("size", match=models.MatchValue(value=8)),
    "true": field("sold", match=models.MatchValue(value=True)),
    "false": field("sold", match=models.MatchValue(value=False)),
    "element": field("tags", match=models.MatchValue(value="sale")),
    "nested key": field("nested.deep.colour", match=models.MatchValue(value="red")),
    "array key": field("parts[].m", match=models.MatchValue(value="wool")),
    "any": field("colour", match=models.MatchAny(any=["blue", "green"])),
    "any integer": field("size", match=models.MatchAny(any=[7, 9])),
    "except": field("colour", match=models.MatchExcept(**{"except": ["blue"]})),
    "text": field("name", match=models.MatchText(text="red")),
    "any text": field("name", match=models.MatchTextAny(text_any="jeans coat")),
    "phrase": field("name", match=models.MatchPhrase(phrase="long red")),
    "range": field("price", range=models.Range(gt=10.5, lte=40)),
    "dates": field("when", range=models.DatetimeRange(lt=datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC))),
    "box": field(
        "where",
        geo_bounding_box=models.GeoBoundingBox(
            top_left=models.GeoPoint(lon=6, lat=55), bottom_right=models.GeoPoint(lon=15, lat=47)
        ),
    ),
    "radius": field("where", geo_radius=models.GeoRadius(center=models.GeoPoint(lon=2.3, lat=48.8), radius=20_000)),
    "polygon": field("where", geo_polygon=models.GeoPolygon(exterior=GERMANY)),
    "polygon with a hole": field(
        "where",
        geo_polygon=models.GeoPolygon(
            exterior=EUROPE, interiors=[line((13, 52), (14, 52), (14, 53), (13, 53), (13, 52))]
        ),
    ),
    "values count": field("tags", values_count=models.ValuesCount(gte=2)),
    "is empty": models.IsEmptyCondition(is_empty=models.PayloadField(key="tags")),
    "is null": models.IsNullCondition(is_null=models.PayloadField(key="colour")),
    "has id": models.HasIdCondition(has_id=[1, KEY]),
    "has vector": models.HasVectorCondition(has_vector="other"),
    "nested": models.NestedCondition(
        nested=models.Nested(
            key="parts",
            filter=models.Filter(
                must=[field("m", match=models.MatchValue(value="wool")), field("share", range=models.Range(gt=50))]
            ),
        )
    ),
    "filter": models.Filter(
        should=[field("size", match=models.MatchValue(value=7)), field("price", range=models.Range(lt=15))]
    ),
}


@pytest.fixture(params=["edge", "client"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    location = tmp_path if request.param == "edge" else QdrantClient(":memory:")
    made = filled(location)
    yield made
    made.close()


def filled(location: Path | QdrantClient) -> Store:
    made = create_store(location, "products", {"image": 4}, {"a": 1})
    made.upsert(IDS, {"image": ROWS}, PAYLOADS)
    made.create_vector("other", 2)
    made.update_vectors(IDS[2:5], {"other": ROWS[2:5, :2]})
    return made


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    return filled(tmp_path_factory.mktemp("edge")), filled(QdrantClient(":memory:"))


def matching(store: Store, query_filter: models.Filter) -> set[int | str]:
    found = {each for page in store.scroll_ids(query_filter) for each in page}
    assert store.count(query_filter) == len(found)
    assert {each.id for each in store.query(VectorQuery(ROWS[0], "image", 9, query_filter=query_filter))} == found
    return found


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_every_condition_means_the_same_on_both(both: tuple[Store, Store], condition: models.Condition) -> None:
    edge, client = both
    must, must_not = models.Filter(must=[condition]), models.Filter(must_not=condition)
    found = matching(edge, must)
    assert found == matching(client, must)
    assert 0 < len(found) < len(IDS)
    assert matching(edge, must_not) == matching(client, must_not) == set(IDS) - found


def test_clauses_combine_the_same_on_both(both: tuple[Store, Store]) -> None:
    red, cheap, sold = (CONDITIONS[name] for name in ("value", "range", "true"))
    combined = [
        models.Filter(must=[red], should=[cheap, sold]),
        models.Filter(must=red, must_not=[sold]),
        models.Filter(min_should=models.MinShould(conditions=[red, cheap, sold], min_count=2)),
        models.Filter(must=[models.Filter(must_not=[red]), cheap]),
    ]
    for each in combined:
        edge, client = (matching(store, each) for store in both)
        assert edge == client != set()


def test_slices_and_prefixes_are_taken_where_the_engine_has_them(tmp_path: Path) -> None:
    store = filled(tmp_path)
    halves = [
        {each for page in store.scroll_ids(models.Filter(must=[part])) for each in page}
        for part in (models.SliceCondition(slice=models.Slice(total=2, index=index)) for index in range(2))
    ]
    assert halves[0] | halves[1] == set(IDS)
    assert not halves[0] & halves[1]
    prefix = models.Filter(must=[field("name", match=models.MatchPrefix(prefix="a long"))])
    assert matching(store, prefix) == {1}
    part = models.Filter(must=[field("name", match=models.MatchSubstring(substring="red d"))])
    assert matching(store, part) == {0}


def test_a_condition_that_edge_lacks_is_named(both: tuple[Store, Store]) -> None:
    class Future(models.MatchValue):
        pass

    unknown = models.Filter.model_construct(must=[Future(value=1)], should=None, must_not=None, min_should=None)
    with pytest.raises(FilterError, match="no condition Future"):
        both[0].count(unknown)
    impossible = field("where", geo_radius=models.GeoRadius(center=models.GeoPoint(lon=500, lat=0), radius=1))
    with pytest.raises(FilterError, match="refused"):
        both[0].count(models.Filter(must=[impossible]))
    for store in both:
        with pytest.raises(FilterError, match=r"models\.Filter, got dict"):
            store.count({"must": []})  # type: ignore[arg-type]


def test_points_and_vectors(store: Store) -> None:
    assert store.count() == 8
    assert store.vector_sizes() == {"image": 4, "other": 2}
    best = store.query(VectorQuery(ROWS[3], "image", 2, with_payload=True))
    assert (best[0].id, best[0].payload) == (3, PAYLOADS[3])
    assert best[0].score == pytest.approx(1.0, abs=1e-6)
    assert {each.id for each in store.query(VectorQuery(ROWS[3, :2], "other", 9))} == {2, 3, 4}
    records = {record.id: record for record in store.retrieve([KEY, 2, 999], vector="other", with_payload=["colour"])}
    assert set(records) == {KEY, 2}
    assert records[2].payload == {"colour": "blue"}
    assert records[KEY].vector is None
    ids, rows = zip(*store.scroll(vector="other", batch_size=2), strict=True)
    assert [len(page) for page in ids] == [2, 1]
    wanted = ROWS[2:5, :2] / np.linalg.norm(ROWS[2:5, :2], axis=1, keepdims=True)
    assert np.allclose(np.concatenate(rows), wanted, atol=1e-6)
    store.delete([0, 1, 999])
    assert store.count() == 6


def test_payloads_are_merged_under_a_key(store: Store) -> None:
    store.set_payload([0, 1], [{"a": 1, "b": ["x", "y"]}, {"a": 2}], key="crl")
    store.set_payload([0, KEY], [{"a": None, "c.d": 0.5}, {"a": 3}], key="crl")
    store.set_payload([], [], key="crl")
    found = {record.id: record.payload for record in store.retrieve([0, 1, 2, KEY])}
    assert found[0] == {**PAYLOADS[0], "crl": {"b": ["x", "y"], "c.d": 0.5}}
    assert found[1] == {**PAYLOADS[1], "crl": {"a": 2}}
    assert found[2] == PAYLOADS[2]
    assert found[KEY] == {**PAYLOADS[7], "crl": {"a": 3}}
    assert matching(store, models.Filter(must=[field("crl.b", match=models.MatchValue(value="y"))])) == {0}
    assert matching(store, models.Filter(must=[field('crl."c.d"', range=models.Range(gt=0))])) == {0}
    with pytest.raises(StoreError, match="writing the payload's crl"):
        store.set_payload([999], [{"a": 1}], key="crl")
    store.set_payload([2, 3], [{"size": 7}, {"colour": "blue"}], key=None)
    found = {record.id: record.payload for record in store.retrieve([2, 3])}
    assert found == {2: {**PAYLOADS[2], "size": 7}, 3: {**PAYLOADS[3], "colour": "blue"}}


def test_named_vectors_come_and_go(store: Store) -> None:
    store.create_vector("other", 2)
    store.create_vector("more", 3)
    store.drop_vector("other")
    store.drop_vector("never there")
    assert store.vector_sizes() == {"image": 4, "more": 3}
    store.create_vector("other", 5)
    assert store.count(models.Filter(must=[models.HasVectorCondition(has_vector="other")])) == 0
    with pytest.raises(StoreError, match="other"):
        store.create_vector("other", 6)


def test_metadata_merges_by_key(store: Store) -> None:
    store.update_metadata({"b": {"deep": [1, "ü"]}})
    assert store.metadata() == {"a": 1, "b": {"deep": [1, "ü"]}}
    store.update_metadata({"a": None, "b": 2})
    assert store.metadata() == {"b": 2}


def test_a_wrong_size_or_name_is_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError, match="writing points"):
        store.upsert([1], {"image": ROWS[:1, :3]}, [{}])
    with pytest.raises(StoreError, match="searching"):
        store.query(VectorQuery(ROWS[0], "nothing", 1))
    assert store.count() == 8


@pytest.mark.parametrize("kind", ["edge", "client"])
def test_created_once_and_found_again(kind: str, tmp_path: Path) -> None:
    location = tmp_path if kind == "edge" else QdrantClient(":memory:")
    with pytest.raises(NotFoundError, match="none at all"):
        open_store(location, "products")
    filled(location).close()
    with pytest.raises(ExistsError, match="products"):
        create_store(location, "products", {"image": 4}, {})
    with pytest.raises(NotFoundError, match="there are: products"):
        open_store(location, "other")
    again = open_store(location, "products")
    assert again.count() == 8
    assert again.metadata() == {"a": 1}
    again.close()


def test_edge_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with pytest.raises(LockedError, match="open already"):
        open_store(tmp_path, "products")
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.count()
    open_store(tmp_path, "products").close()


def test_an_edge_collection_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("crl_qdrant.stores.edge.store.write_json", full)
    with pytest.raises(StoreError, match="no space left"):
        create_store(tmp_path, "products", {"image": 4}, {})
    assert list(tmp_path.iterdir()) == []


def test_edge_metadata_survives_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk gone")))
    with pytest.raises(StoreError, match="disk gone"):
        store.update_metadata({"a": 2})
    assert json.loads((tmp_path / "products" / "metadata.json").read_text()) == store.metadata() == {"a": 1}


@pytest.mark.parametrize("location", ["", 7, None])
def test_what_is_no_location(location: object) -> None:
    with pytest.raises(InputError, match="`location` must be a directory"):
        open_store(location, "products")  # type: ignore[arg-type]


def test_a_server_that_is_not_there_is_said_so() -> None:
    with pytest.raises(StoreError, match="cannot be reached"):
        open_store("http://127.0.0.1:9", "products")


def test_a_panic_of_the_engine_is_an_error_of_the_store() -> None:
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(StoreError, match="counting points: index out of bounds"), translated("counting points"):
        raise panic("index out of bounds")
    with pytest.raises(KeyboardInterrupt), translated("counting points"):
        raise KeyboardInterrupt


def test_metadata_that_are_damaged_leave_nothing_open(tmp_path: Path) -> None:
    create_store(tmp_path, "products", {"image": 4}, {"a": 1}).close()
    file = tmp_path / "products" / "metadata.json"
    good = file.read_text()
    for content in ("[1]", "{"):
        file.write_text(content)
        with pytest.raises(StoreError):
            open_store(tmp_path, "products")
    file.write_text(good)
    assert open_store(tmp_path, "products").metadata() == {"a": 1}


def test_a_server_that_is_not_there_by_grpc() -> None:
    client = QdrantClient(url="http://127.0.0.1:1", prefer_grpc=True, check_compatibility=False, timeout=2)
    with pytest.raises(StoreError, match="opening the collection: the Qdrant server cannot be reached"):
        open_store(client, "products")
    client.close()


@pytest.mark.parametrize(
    ("raised", "match"),
    [
        (ResourceExhaustedResponse("too many requests", 7), "too many requests"),
        (GrpcError(grpc.StatusCode.UNAUTHENTICATED, "no key"), "refused the key"),
        (GrpcError(grpc.StatusCode.INTERNAL, "it broke"), "counting points: it broke"),
    ],
)
def test_what_a_server_refuses_is_an_error_of_the_store(
    raised: Exception, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise raised

    client = QdrantClient(":memory:")
    store = create_store(client, "products", {"image": 4}, {})
    monkeypatch.setattr(client, "count", refuse)
    with pytest.raises(StoreError, match=match):
        store.count()
    client.close()


def test_a_url_in_capitals_is_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="cannot be reached"):
        create_store("HTTP://127.0.0.1:1", "products", {"image": 4}, {})
    assert not list(tmp_path.iterdir())
