"""Every wrong input is answered by an error of ours that says what to do, and costs nothing that was stored."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from failing_store import failing_store, store_of
from fakes import ColourEncoder, MakeCollection, picture
from PIL import Image
from qdrant_client import models, QdrantClient

from crl_qdrant import (
    Criterion,
    CriterionError,
    CriterionState,
    CRLCollection,
    CRLError,
    EmbeddingError,
    EncoderError,
    EncoderMismatchError,
    ExistsError,
    ImageError,
    InputError,
    Item,
    ManifestError,
    NotFoundError,
    StoreError,
)


@pytest.fixture
def products(make_collection: MakeCollection, encoder: ColourEncoder) -> CRLCollection:
    made = make_collection(encoder=encoder)
    made.add(ids=[1, 2], images=[picture("red"), picture("blue")])
    made.define(Criterion("colour", ["red", "green", "blue"]))
    return made


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    return buffer.getvalue()


def test_good_images_among_bad_ones_are_stored(products: CRLCollection, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    noise = png(Image.effect_noise((99, 99), 60))
    images = [
        picture("green"),
        tmp_path / "text.png",
        noise[:900],
        Image.new("RGB", (0, 3)),
        tmp_path / "gone.png",
        picture("white"),
    ]
    report = products.add(ids=range(10, 16), images=images, batch_size=2)
    assert report.written == 2
    assert [each.id for each in report.rejected] == [11, 12, 13, 14]
    assert all(isinstance(each.error, ImageError) for each in report.rejected)
    assert [str(each).split(":")[0] for each in report.rejected] == ["11", "12", "13", "14"]
    assert products.count() == 4


def test_raise_stops_at_the_first_and_keeps_those_before(products: CRLCollection) -> None:
    images = [picture("green"), picture("white"), picture("black"), b"no image", picture("yellow")]
    with pytest.raises(ImageError, match="not an image"):
        products.add(ids=range(10, 15), images=images, batch_size=2, on_error="raise")
    assert {record.id for record in store_of(products).retrieve(range(10, 15))} == {10, 11, 12}


def test_bad_embeddings_are_reported_row_by_row(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=3)
    rows = np.array([[1, 0, 0], [np.nan, 0, 1], [0, 0, 0], [np.inf, 0, 0], [0, 2, 0]])
    report = products.add(ids=range(5), embeddings=rows, payloads=[{}, {}, {}, {}, {"bad": object()}])
    assert report.written == 1
    assert [each.id for each in report.rejected] == [1, 2, 3, 4]
    assert "NaN" in str(report.rejected[0])
    assert "all zeros" in str(report.rejected[1])
    assert "JSON" in str(report.rejected[3])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"ids": [3]}, "either images or embeddings"),
        ({"ids": [3], "images": [picture("red")], "embeddings": np.ones((1, 4))}, "either images or embeddings"),
        ({"ids": [3, 4], "images": [picture("red")]}, "2 ids and 1 images"),
        ({"ids": [3], "images": [picture("red")], "payloads": [{}, {}]}, "1 ids and 2 payloads"),
        ({"ids": [3, 3], "images": [picture("red")] * 2}, "id 3 stands more than once"),
        ({"ids": ["sku"], "images": [picture("red")]}, "id_of_key"),
        ({"ids": [3], "embeddings": np.ones((1, 5))}, "4 columns"),
        ({"ids": [3, 4], "embeddings": np.ones((1, 4))}, "2 entries, got 1 rows"),
        ({"ids": [3], "embeddings": np.ones(4)}, r"two dimensions \[N, d\], got shape \[4\]"),
        ({"ids": [3], "embeddings": [["a", "b", "c", "d"]]}, "array of numbers"),
        ({"ids": [3], "images": [picture("red")], "on_error": "ignore"}, '`on_error` must be "skip" or "raise"'),
    ],
)
def test_a_call_that_cannot_be_right_stores_nothing(products: CRLCollection, arguments: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        products.add(**arguments)
    assert products.count() == 2


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({}, InputError, "got none"),
        ({"image": picture("red"), "text": "red"}, InputError, "got image and text"),
        ({"image": "gone.jpg"}, ImageError, "no image file gone.jpg"),
        ({"text": " "}, InputError, "`text` must be a text that is not blank"),
        ({"like": 99}, NotFoundError, "no point 99"),
        ({"like": "sku"}, InputError, "id_of_key"),
        ({"embedding": np.zeros(4)}, EmbeddingError, "all zeros"),
        ({"embedding": [np.nan, 0, 0, 0]}, EmbeddingError, "NaN"),
        ({"embedding": np.ones(5)}, EmbeddingError, r"shape \[4\], got \[5\]"),
        ({"embedding": np.ones((1, 4))}, EmbeddingError, r"shape \[4\], got \[1, 4\]"),
        ({"text": "red", "criterion": "fabric"}, NotFoundError, "no criterion 'fabric'; there are: colour"),
        ({"text": "red", "limit": 0}, InputError, "`limit` must be at least 1, got 0"),
        ({"text": "red", "limit": -3}, InputError, "limit"),
        ({"text": "red", "limit": 2.5}, InputError, "limit"),
        ({"text": "red", "query_filter": {"must": []}}, InputError, r"models\.Filter, got dict"),
    ],
)
def test_searches_that_cannot_be(products: CRLCollection, arguments: dict, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        products.search(**arguments)


def test_a_query_that_has_no_part_in_the_criterion(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=3)
    products.add(ids=[1], embeddings=np.ones((1, 3)))
    products.define(Criterion("flat", ["a", "b"], embeddings=np.eye(3)[:2]))
    with pytest.raises(EmbeddingError, match="no part in the words of criterion 'flat'"):
        products.search(embedding=[0, 0, 1], criterion="flat")


def test_collections_that_are_there_or_not(location: Any, encoder: ColourEncoder) -> None:
    with pytest.raises(NotFoundError, match="products"):
        CRLCollection.open("products", location=location)
    CRLCollection.create("products", location=location, encoder=encoder).close()
    with pytest.raises(ExistsError, match="products"):
        CRLCollection.create("products", location=location, encoder=encoder)
    with pytest.raises(NotFoundError, match="there are: products"):
        CRLCollection.open("shoes", location=location)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", 7])
def test_collection_names_that_cannot_be(name: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name"):
        CRLCollection.create(name, location=tmp_path, dimension=3)  # type: ignore[arg-type]


def test_creating_needs_an_encoder_or_a_dimension(tmp_path: Path, encoder: ColourEncoder) -> None:
    for arguments, complaint in (
        ({}, "dimension=512"),
        ({"dimension": 1}, "at least 2, got 1"),
        ({"dimension": 70_000}, "at most 65536"),
        ({"dimension": "512"}, "whole number"),
        ({"encoder": encoder, "dimension": 7}, "gives 4 dimensions, not 7"),
        ({"dimension": 3, "location": ""}, "`location` must be a directory"),
    ):
        with pytest.raises(InputError, match=complaint):
            CRLCollection.create("products", **{"location": tmp_path, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_another_encoder_than_the_one_that_wrote_is_refused(location: Any, encoder: ColourEncoder) -> None:
    class Other(ColourEncoder):
        name = "another"

    class Longer(ColourEncoder):
        dimension = 5

    CRLCollection.create("products", location=location, encoder=encoder).close()
    for given, complaint in (
        (Other(), "'colours' .* 'another'"),
        ("demo", "'colours' .* 'demo'"),
        (Longer(), "5 dimensions"),
    ):
        with pytest.raises(EncoderMismatchError, match=complaint):
            CRLCollection.open("products", location=location, encoder=given)
    # the store was let go of each time
    CRLCollection.open("products", location=location, encoder=encoder).close()


def test_an_encoder_of_ones_own_must_be_passed_to_be_used(location: Any, products: CRLCollection) -> None:
    products.close()
    again = CRLCollection.open("products", location=location)
    assert again.search(like=1, criterion="colour")[0].id == 2
    with pytest.raises(EncoderError, match=r"'colours'.*open\(…, encoder=…\)"):
        again.search(picture("red"))


def test_without_an_encoder_a_call_that_needs_one_says_so(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=4)
    for call in (
        lambda: products.search(picture("red")),
        lambda: products.search(text="red"),
        lambda: products.add(ids=[1], images=[picture("red")]),
        lambda: products.define(Criterion("colour", ["red", "blue"])),
    ):
        with pytest.raises(EncoderError, match="has no encoder, so it cannot"):
            call()


@pytest.mark.parametrize("output", [np.ones((1, 3)), np.ones((2, 4)), "text", None, RuntimeError("no memory")], ids=str)
def test_an_encoder_that_gives_nonsense_is_named(products: CRLCollection, encoder: ColourEncoder, output: Any) -> None:
    def encode(images: Any) -> Any:
        if isinstance(output, Exception):
            raise output
        return output

    encoder.encode_images = encode  # type: ignore[method-assign]
    with pytest.raises(EncoderError, match=r"'colours' (cannot be used|failed)"):
        products.add(ids=[9], images=[picture("red")])
    with pytest.raises(EncoderError, match=r"'colours' (cannot be used|failed)"):
        products.search(picture("red"))
    assert products.count() == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_picture_the_encoder_makes_nothing_of(products: CRLCollection, encoder: ColourEncoder, bad: float) -> None:
    encoder.encode_images = lambda images: np.array(  # type: ignore[method-assign]
        [[bad] * 4 if image.getpixel((0, 0)) == (0, 0, 0) else [1.0, 0, 0, 0] for image in images]
    )
    images = [picture("red"), picture("black"), picture("red")]
    report = products.add(ids=[10, 11, 12], images=images)
    assert (report.written, [each.id for each in report.rejected]) == (2, [11])
    with pytest.raises(EncoderError, match="embedding that"):
        products.add(ids=[20, 21, 22], images=images, on_error="raise")
    assert products.count() == 5
    with pytest.raises(EncoderError, match="'colours' cannot be used"):
        products.search(picture("black"))


def test_one_odd_item_costs_no_other(products: CRLCollection, tmp_path: Path) -> None:
    noise = png(Image.effect_noise((99, 99), 60))
    deep: dict = {}
    for _ in range(3000):
        deep = {"a": deep}
    items = [
        Item(10, image=picture("red")),
        Item(11, image=Image.open(io.BytesIO(noise[: len(noise) // 2]))),
        Item(12, image="x" * 300 + ".jpg"),
        Item(13, image=picture("red"), payload={"a": "\ud800"}),
        Item(14, image=picture("red"), payload=deep),
        Item(15, image="a\0b.jpg"),
        Item("sku", image=picture("red"), key="SKU-1"),
        Item(16),
        Item(17, image=picture("blue"), payload={"n": np.int64(3), "x": float("nan"), "crl_source": "old"}),
    ]
    report = products.ingest(iter(items))
    assert report.written == 2
    assert [each.id for each in report.rejected] == [11, 12, 13, 14, 15, "sku", 16]
    assert str(report.rejected[5]).startswith("SKU-1: a point's id must be")
    assert products.ingest(iter(items)).unchanged == 2
    (record,) = store_of(products).retrieve([17])
    assert record.payload is not None
    assert (record.payload["n"], record.payload["x"]) == (3, None)
    with pytest.raises(InputError, match="must be Item objects, got dict"):
        products.ingest([{"id": 1}])  # type: ignore[list-item]


def test_a_changed_palette_is_another_picture(products: CRLCollection) -> None:
    red, blue = (Image.new("P", (4, 4), 0) for _ in range(2))
    red.putpalette([255, 0, 0])
    blue.putpalette([0, 0, 255])
    assert [products.ingest([Item(9, image=each)]).written for each in (red, blue, blue)] == [1, 1, 0]


def test_an_interrupted_materialize_or_drop_leaves_a_collection_that_works(products: CRLCollection) -> None:
    for step in ("create_vector", "update_vectors"):
        with failing_store(step, StoreError("killed here")), pytest.raises(StoreError, match="killed here"):
            products.materialize("colour")
        assert products.add(ids=[30], images=[picture("red")]).written == 1
    assert products.materialize("colour") == 2
    for step in ("drop_vector", "update_metadata"):
        with failing_store(step, StoreError("killed here")), pytest.raises(StoreError, match="killed here"):
            products.drop_criterion("colour")
        assert products.add(ids=[31], images=[picture("blue")]).written == 1
    products.drop_criterion("colour")
    # what the interrupted drop left is not taken for the new criterion's
    products.define(Criterion("colour", ["red", "green", "blue", "white"]))
    assert products.materialize("colour") == 4
    assert products.info().criteria[0].points == 4


@pytest.mark.parametrize(
    "encoder", ["nothing", "open_clip:", "open_clip:ViT-B-33/x", "open_clip:ViT-B-32", "open_clip:ViT-B-32/x", object()]
)
def test_encoders_that_are_none(tmp_path: Path, encoder: Any) -> None:
    with pytest.raises(EncoderError):
        CRLCollection.create("products", location=tmp_path, encoder=encoder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dimension", [0, -1, 2.5, "4", True, None])
def test_an_encoder_without_a_possible_dimension(tmp_path: Path, dimension: Any) -> None:
    encoder = ColourEncoder()
    encoder.dimension = dimension
    with pytest.raises(EncoderError, match="the dimension of encoder 'colours' must be a whole number above 0"):
        CRLCollection.create("products", location=tmp_path, encoder=encoder)


@pytest.mark.parametrize("answers", [0, 3])
def test_an_encoder_that_gives_a_wrong_number_of_answers(
    products: CRLCollection, encoder: ColourEncoder, answers: int
) -> None:
    encoder.encode_images = lambda images: np.ones((answers, 4))  # type: ignore[method-assign]
    encoder.encode_texts = lambda texts: np.ones((answers, 4))  # type: ignore[method-assign]
    for call in (
        lambda: products.add([9, 10], [picture("red"), picture("blue")]),
        lambda: products.define("cut", ["a", "b"]),
        lambda: products.search(picture("red")),
    ):
        with pytest.raises(EncoderError, match=f"got {answers} rows"):
            call()
    assert products.count() == 2


def test_criteria_that_cannot_be_defined(products: CRLCollection) -> None:
    with pytest.raises(InputError, match="takes a name or a Criterion, got int"):
        products.define(7)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a Criterion has its own"):
        products.define(Criterion("cut", ["a", "b"]), preset="paper")
    with pytest.raises(EmbeddingError, match="4 columns"):
        products.define(Criterion("cut", ["a", "b"], embeddings=np.eye(3)[:2]))
    with pytest.raises(CriterionError, match="span 1 dimension"):
        products.define(Criterion("cut", ["a", "b"], embeddings=np.ones((2, 4))))
    with pytest.raises(CriterionError, match='preset="paper"'):
        products.define(Criterion("cut", ["a", "b"], embeddings=np.eye(4)[:2], center="text"))
    with pytest.raises(CriterionError, match="suppresses 'fit', which is not defined; there are: colour"):
        products.define(Criterion("cut", ["a", "b"], embeddings=np.eye(4)[:2], suppress=["fit"]))
    products.define(Criterion("cut", ["a", "b"], embeddings=np.eye(4)[:2]))
    with pytest.raises(ExistsError, match="there is a criterion 'colour'"):
        products.rename_criterion("cut", "colour")
    products.drop_criterion("cut")
    for call in (products.materialize, products.drop_criterion, products.criterion):
        with pytest.raises(NotFoundError, match="no criterion 'fabric'"):
            call("fabric")
    assert list(products.criteria) == ["colour"]


def test_someone_elses_collection_is_left_alone() -> None:
    client = QdrantClient(":memory:")
    client.create_collection("theirs", vectors_config=models.VectorParams(size=3, distance=models.Distance.DOT))
    with pytest.raises(ManifestError, match="not made by crl-qdrant"):
        CRLCollection.open("theirs", location=client)
    client.close()


def test_a_collection_that_another_program_changed(products: CRLCollection, location: Any) -> None:
    products.materialize("colour")
    store_of(products).drop_vector("crl_colour")
    products.refresh()
    states = {each.name: each.state for each in products.info().criteria}
    assert states["colour"] is CriterionState.MISSING
    store_of(products).update_metadata({"crl": {"format": 99}})
    with pytest.raises(ManifestError, match="format 99"):
        products.info()


def test_a_memory_collection_cannot_be_opened_again() -> None:
    with pytest.raises(InputError, match="QdrantClient"):
        CRLCollection.open("products", location=":memory:")


def test_every_error_is_ours() -> None:
    from crl_qdrant import errors

    kinds = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(kind, CRLError) for kind in kinds)
    assert {kind.__name__ for kind in kinds} == {n for n, v in vars(errors).items() if isinstance(v, type)}
    drawn = str(errors.__doc__)
    assert all(name in drawn for name in errors.__all__)


def test_a_damaged_manifest_is_named(products: CRLCollection) -> None:
    for damage in ({"state": "materialized"}, {"criterion": {"name": "x"}}, "text"):
        store_of(products).update_metadata({"crl.criterion.cut": damage})
        with pytest.raises(ManifestError, match="damaged"):
            products.refresh()
    whole = store_of(products).metadata()["crl.criterion.colour"]
    for part, value in (("matrix", ""), ("offset", "!!!"), ("words", ""), ("number_of_words", 2), ("blend", 5)):
        current = {**whole["current"], "projection": {**whole["current"]["projection"], part: value}}
        changed = {**whole, "current": current}
        store_of(products).update_metadata({"crl.criterion.cut": None, "crl.criterion.colour": changed})
        with pytest.raises(ManifestError, match="damaged"):
            products.refresh()


def test_a_word_that_is_no_text(products: CRLCollection) -> None:
    with pytest.raises(CriterionError, match="cannot be stored as text"):
        products.define("colour", ["red", "gr\ud800en", "blue"])


def test_a_payload_that_is_nested_too_deep(products: CRLCollection) -> None:
    deep: dict[str, Any] = {}
    for _ in range(123):
        deep = {"k": deep}
    report = products.add([10, 11], embeddings=np.ones((2, 4)), payloads=[deep, {"a": [{"b": [1]}]}])
    assert (report.written, [each.id for each in report.rejected]) == (1, [10])
    assert "more than 64 deep" in str(report.rejected[0])
    with pytest.raises(InputError, match="of at most 16 parts"):
        products.cluster(None, 2, field="a." + ".".join("k" * 140))


@pytest.mark.parametrize("name", ["𠀀" * 60, "image", "modifier"])
def test_a_name_that_would_do_harm(products: CRLCollection, name: str) -> None:
    with pytest.raises(CriterionError, match="at most 160 bytes in UTF-8 and is not 'image' or 'modifier'"):
        products.define(name, ["red", "green"])


def test_a_long_name_in_another_script(tmp_path: Path) -> None:
    name = "色" * 53
    shop = CRLCollection.create("shop", location=tmp_path, dimension=4)
    shop.add(range(9), embeddings=np.random.default_rng(0).normal(size=(9, 4)))
    for seed in (1, 2):
        shop.define(Criterion(name, ["赤", "青"], embeddings=np.random.default_rng(seed).normal(size=(2, 4))))
        shop.materialize(name)
    shop.optimize()
    shop.close()
    assert CRLCollection.open("shop", location=tmp_path).search(like=1, criterion=name).plan.strategy == "named"


@pytest.mark.parametrize(
    "options",
    [
        {"criterion_weight": float("inf")},
        {"criterion_weight": "3"},
        {"diversity": "x"},
        {"score_threshold": "x"},
        {"score_threshold": float("nan")},
        {"criterion": ["colour"]},
        {"criterion": {"colour": 10**400}},
        {"criterion": {"colour": True}},
        {"group_by": 5},
        {"group_by": "a..b"},
        {"group_by": ""},
        {"search_params": {"hnsw_ef": 4}},
        {"unlike": 5},
        {"unlike": iter([])},
        {"with_payload": [1]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_an_argument_of_search_that_cannot_be(products: CRLCollection, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        products.search(like=1, **options)


def test_what_is_as_good_as_a_list_or_a_number(products: CRLCollection) -> None:
    plain = products.search(like=1, criterion={"colour": 1.0}, unlike=[2])
    assert products.search(like=1, criterion={"colour": np.float32(1)}, unlike=(each for each in [2])) == plain
    assert products.add([], embeddings=[]).written == 0


def test_other_arguments_that_cannot_be(products: CRLCollection, location: Any) -> None:
    with pytest.raises(InputError, match="must be a Query object"):
        products.explain_plan("colour")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`sample` must be"):
        products.estimate_recall("colour", sample=0)
    with pytest.raises(NotFoundError):
        products.estimate_recall("cut")
    for call in (products.criterion, products.drop_criterion, products.representations):
        with pytest.raises(InputError, match="a criterion's name is a text"):
            call(["colour"])  # type: ignore[arg-type]
    for wrong in ({"scan_memory": -1}, {"device": "gpu"}, {"device": None}):
        with pytest.raises(InputError):
            CRLCollection.create("other", location=location, dimension=4, **wrong)
    CRLCollection.create("other", location=location, dimension=4).close()  # nothing was left of those
    for wrong in ({"scan_memory": -1}, {"device": "gpu"}):
        with pytest.raises(InputError):
            CRLCollection.open("other", location=location, **wrong)
    CRLCollection.open("other", location=location).close()


def test_numbers_that_no_store_has(products: CRLCollection) -> None:
    payloads: list[dict[str, Any]] = [{"n": 10**309}, {"n": [2**64]}, {"n": 2**64 - 1}]
    report = products.add([10, 11, 12], embeddings=np.eye(4)[:3], payloads=payloads)
    assert (report.written, [each.id for each in report.rejected]) == (1, [10, 11])
    for wrong in (np.array([1]), np.array(1.0)):
        with pytest.raises(InputError, match="a point's id must be an integer"):
            products.delete([wrong])


def test_one_picture_that_an_encoder_fails_on(products: CRLCollection, encoder: ColourEncoder) -> None:
    usual = encoder.encode_images

    def fails_on_black(images: Any) -> Any:
        if any(image.getpixel((0, 0)) == (0, 0, 0) for image in images):
            raise RuntimeError("black")
        return usual(images)

    encoder.encode_images = fails_on_black  # type: ignore[method-assign]
    report = products.add([10, 11, 12], [picture("red"), picture("black"), picture("blue")])
    assert (report.written, [each.id for each in report.rejected]) == (2, [11])
    assert "RuntimeError: black" in str(report.rejected[0])
    with pytest.raises(EncoderError, match="failed: RuntimeError"):
        products.add([13], [picture("black")])


def test_a_field_that_would_take_anothers_place(products: CRLCollection) -> None:
    rows = np.random.default_rng(0).normal(size=(6, 4))
    products.add(range(10, 16), embeddings=rows, payloads=[{"brand": "Acme"}] * 6)
    with pytest.raises(InputError, match="has 'brand' as 'Acme'"):
        products.cluster(None, 2, field="brand.group")
    with pytest.raises(InputError, match="`field` must be another name than"):
        products.cluster(None, 2, field="crl")
    products.cluster(None, 2, field="shop.group")
    assert {hit.payload["brand"] for hit in products.search(like=10, limit=5) if hit.payload and "brand" in hit.payload}
    with pytest.raises(InputError, match="`seed` must be from 0 to"):
        products.cluster(None, 2, seed=5_000_000_000)
