"""To another encoder: the same answers as a collection that was made with it, whatever happens on the way."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from failing_store import store_of
from fakes import ColourEncoder, image_of, Newer, picture
from killed_processes import migrate_and_die, opened, processes
from waiting import ended_after

from crl_qdrant import Criterion, CriterionState, CRLCollection, CRLError, InputError, ManifestError
from crl_qdrant.ingestion.migration import Migrator
from crl_qdrant.projection.stored_head import StoredHead

RNG = np.random.default_rng(3)
PICTURES = {n: tuple(int(v) for v in RNG.integers(0, 256, size=3)) for n in range(60)}
WORDS = ["red", "green", "blue", "white", "black"]


def made(location: Any, name: str, encoder: ColourEncoder) -> CRLCollection:
    products = CRLCollection.create(name, location=location, encoder=encoder)
    payloads = [{"rgb": list(rgb)} for rgb in PICTURES.values()]
    products.add(list(PICTURES), [picture(rgb) for rgb in PICTURES.values()], payloads=payloads)
    products.define("colour", WORDS)
    products.define("hue", ["red", "green", "blue", "yellow"], suppress=["colour"], suppress_rank=1)
    products.materialize("colour")
    return products


def answers(products: CRLCollection) -> list[Any]:
    query = picture((200, 40, 10))
    return [
        [(hit.id, pytest.approx(hit.score, abs=2e-3)) for hit in products.search(query, criterion=criterion, limit=5)]
        for criterion in (None, "colour", "hue")
    ]


def test_afterwards_it_answers_as_if_made_with_the_new_encoder(location: Any, tmp_path: Any) -> None:
    products = made(location, "products", ColourEncoder())
    expected = answers(made(tmp_path / "other", "fresh", Newer()))
    before = answers(products)
    planned = products.migrate(Newer(), image_of, dry_run=True)
    assert (planned.encoder, planned.points, planned.left, planned.done) == ("newer", 60, 60, False)
    assert planned.seconds > 0
    assert planned.bytes == 60 * (7 + 4 + 5) * 4
    assert products.info().encoder == "colours"
    done = products.migrate(Newer(), image_of)
    assert (done.left, done.rejected, done.done) == (0, [], True)
    assert answers(products) == expected != before
    info = products.info()
    assert (info.encoder, info.dimension) == ("newer", 7)
    assert {each.name: each.state for each in info.criteria} == {
        "colour": CriterionState.MATERIALIZED,
        "hue": CriterionState.DEFINED,
    }
    products.add([100], [picture("red")], payloads=[{"rgb": [255, 0, 0]}])
    assert products.search(picture("red"), criterion="colour", limit=1)[0].id == 100
    # back again: only the point that came since is embedded
    embedded: list[Any] = []
    products.migrate(ColourEncoder(), lambda point, payload: embedded.append(point) or image_of(point, payload))
    assert set(embedded) == {100}
    assert products.info().encoder == "colours"
    products.delete([100])
    assert answers(products) == before
    products.drop_previous()
    products.refresh()
    assert answers(products) == before
    assert len(store_of(products).vector_sizes()) == 2
    products.close()


def test_stopped_anywhere_it_goes_on_and_searches_use_the_old_one_meanwhile(location: Any) -> None:
    products = made(location, "products", ColourEncoder())
    before = answers(products)
    asked: list[Any] = []

    def stopping(point: Any, payload: dict[str, Any]) -> Any:
        asked.append(point)
        if len(asked) == 35:
            raise KeyboardInterrupt
        return image_of(point, payload)

    with pytest.raises(KeyboardInterrupt):
        products.migrate(Newer(), stopping, batch_size=10)
    assert answers(products) == before
    with pytest.raises(InputError, match="a migration to 'newer' is under way"):
        products.migrate(type("Other", (Newer,), {"name": "other"})(), image_of)
    products.close()
    products = CRLCollection.open("products", location=location, encoder=ColourEncoder())
    assert answers(products) == before
    products.define("hue", ["red", "green", "blue", "white"])  # changed in between
    products.add([200], [picture("blue")], payloads=[{"rgb": [0, 0, 255]}])
    left = products.migrate(Newer(), image_of, dry_run=True).left
    assert left == 31
    assert products.migrate(Newer(), image_of).done
    assert products.criteria["hue"].words == ("red", "green", "blue", "white")
    assert products.search(picture("blue"), limit=1)[0].id == 200
    products.close()
    with CRLCollection.open("products", location=location, encoder=Newer()) as again:
        assert again.search(picture("blue"), criterion="colour", limit=1)[0].id == 200


def test_stopped_before_the_last_write_points_that_come_then_are_not_forgotten(
    location: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    products = made(location, "products", ColourEncoder())
    products.materialize("hue")

    def stopped(self: Migrator) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Migrator, "_change_over", stopped)
        with pytest.raises(KeyboardInterrupt):
            products.migrate(Newer(), image_of)
    products.add([200], [picture("blue")], payloads=[{"rgb": [0, 0, 255]}])
    products.drop_criterion("hue")
    assert products.migrate(Newer(), image_of).done
    (colour,) = products.info().criteria  # what was dropped does not come back
    assert (colour.name, colour.state, colour.points) == ("colour", CriterionState.MATERIALIZED, 61)
    assert products.search(picture("blue"), criterion="colour", strategy="named", limit=1)[0].id == 200
    products.drop_previous()
    assert len(store_of(products).vector_sizes()) == 2


def test_writes_of_other_threads_wait_and_go_on(location: Any) -> None:
    products = made(location, "products", ColourEncoder())
    begun, wrong = threading.Event(), list[Exception]()

    def adding() -> None:
        begun.wait()
        for number in range(200, 230):
            try:
                products.add([number], [picture("blue")], payloads=[{"rgb": [0, 0, 255]}])
            except CRLError as error:
                wrong.append(error)

    def image(point: Any, payload: dict[str, Any]) -> Any:
        begun.set()
        return image_of(point, payload)

    thread = threading.Thread(target=adding)
    thread.start()
    assert products.migrate(Newer(), image).done
    thread.join()
    assert wrong == []
    assert products.count() == len(products.search(picture("blue"), limit=100)) == 90


@pytest.mark.slow
def test_killed_anywhere_it_goes_on(tmp_path: Any) -> None:
    possible = []
    for name, encoder in (("colours", ColourEncoder()), ("newer", Newer())):
        products = made(tmp_path / name, "products", encoder)
        possible.append(answers(products))
        products.close()
    context = processes()
    calls = [
        (call, number) for call in ("update_metadata", "update_vectors", "create_vector") for number in range(1, 9)
    ]
    random.Random(4).shuffle(calls)
    kills = 0
    for call, number in calls:
        process = context.Process(target=migrate_and_die, args=(tmp_path / "colours", call, number), daemon=True)
        process.start()
        with ended_after(process):
            process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        kills += process.exitcode != 0
        products, _ = opened(tmp_path / "colours")
        assert any(answers(products) == each for each in possible), (call, number)
        assert products.count() == 60
        products.close()
    assert kills >= 10
    products, other = opened(tmp_path / "colours")
    assert products.migrate(other, image_of).done
    products.drop_previous()
    assert answers(products) == possible[other.name == "newer"]
    assert len(store_of(products).vector_sizes()) == 2
    products.close()


def test_given_up_nothing_is_left_of_it(location: Any) -> None:
    products = made(location, "products", ColourEncoder())
    before, vectors = answers(products), store_of(products).vector_sizes()
    with pytest.raises(InputError, match="1 of 60 points cannot be embedded, the first: 7: there is no image file"):
        products.migrate(Newer(), lambda point, payload: "gone.png" if point == 7 else image_of(point, payload))
    assert answers(products) == before
    products.drop_previous()
    assert store_of(products).vector_sizes() == vectors
    assert answers(products) == before


def test_points_without_a_picture_can_be_left_behind_and_seen_to_later(location: Any) -> None:
    products = made(location, "products", ColourEncoder())
    done = products.migrate(
        Newer(), lambda point, payload: {}[point] if point == 7 else image_of(point, payload), on_error="skip"
    )
    assert ([each.id for each in done.rejected], done.left, done.done) == ([7], 1, True)
    assert "it cannot be read: KeyError" in str(done.rejected[0])
    assert 7 not in {hit.id for hit in products.search(picture(PICTURES[7]), limit=60)}
    assert products.migrate(Newer(), image_of).left == 0
    products.materialize("colour")
    for criterion in (None, "colour"):
        assert 7 in {hit.id for hit in products.search(picture(PICTURES[7]), criterion=criterion, limit=60)}


def test_searches_in_other_threads_see_one_encoder_or_the_other(location: Any, tmp_path: Any) -> None:
    products = made(location, "products", ColourEncoder())
    possible = [answers(products), answers(made(tmp_path / "other", "fresh", Newer()))]
    stop, wrong, seen = threading.Event(), list[Any](), list[int]()

    def searching() -> None:
        while not stop.is_set():
            try:
                query = picture((200, 40, 10))
                found = [(hit.id, hit.score) for hit in products.search(query, criterion="colour", limit=5)]
            except CRLError as error:
                wrong.append(error)
                return
            matches = [number for number, each in enumerate(possible) if each[1] == found]
            seen.extend(matches)
            if not matches:
                wrong.append(found)

    threads = [threading.Thread(target=searching) for _ in range(3)]
    for thread in threads:
        thread.start()
    products.migrate(Newer(), image_of, batch_size=5)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 0 in seen


def test_brought_words_and_heads_are_told_kept_and_restored(location: Any) -> None:
    """From embeddings that were brought to an encoder, and back, where nothing could embed the words again."""
    products = CRLCollection.create("products", location=location, dimension=6)
    rows = RNG.normal(size=(60, 6))
    payloads = [{"rgb": list(rgb), "group": f"g{n % 2}"} for n, rgb in PICTURES.items()]
    products.add(list(PICTURES), embeddings=rows, payloads=payloads)
    texts = RNG.normal(size=(5, 6))
    products.define(Criterion("colour", WORDS, embeddings=texts, preset="paper"))
    products.define(Criterion("hue", WORDS[:4], embeddings=texts[:4], preset="paper"))
    parts = RNG.normal(size=(4, 3)), [1] * 3, RNG.normal(size=(3, 2)), [1] * 2
    head = StoredHead(*(np.asarray(each, dtype=np.float32) for each in parts))
    products._criteria.set_head(products._criteria.latest("hue"), head)
    products.materialize("colour")

    def found(name: str) -> list[Any]:
        return [(h.id, pytest.approx(h.score, abs=2e-3)) for h in products.search(embedding=rows[0], criterion=name)]

    before = [found(name) for name in ("colour", "hue")]
    expected = ("colour", "hue"), ("hue",)
    planned = products.migrate(Newer(), image_of, dry_run=True)
    assert (planned.brought, planned.heads, planned.current) == (*expected, False)
    assert "the words of colour, hue are embedded again, in place of the word vectors you brought" in planned.remarks[0]
    done = products.migrate(Newer(), image_of)
    assert (done.brought, done.heads, done.done) == (*expected, True)
    assert products.search(picture("red"), criterion="colour", limit=3)
    products.define("late", WORDS)
    products.add([300], [picture("blue")], payloads=[{"rgb": [0, 0, 255]}])
    with pytest.raises(InputError, match=r"1 of 61 points cannot be embedded.*without an encoder nothing gives it"):
        products.migrate(None)
    products.delete([300])
    with pytest.raises(InputError, match=r"the words of criterion 'late' changed since the last migration.*drop it"):
        products.migrate(None)
    products.drop_criterion("late")
    products.close()
    products = CRLCollection.open("products", location=location, encoder=Newer())
    back = products.migrate(None)
    assert (back.encoder, back.done, back.brought) == (None, True, ())
    assert products.info().encoder is None
    assert [found(name) for name in ("colour", "hue")] == before
    products.drop_previous()
    assert [found(name) for name in ("colour", "hue")] == before
    assert len(products._store.vector_sizes()) == 2
    assert not [key for key in products._store.metadata() if key.startswith("crl.previous")]
    with pytest.raises(InputError, match="keeps no embeddings that were brought without an encoder"):
        products.migrate(None)


def test_words_that_were_brought_beside_an_encoder_are_told(location: Any) -> None:
    products = made(location, "products", ColourEncoder())
    products.define(Criterion("fit", ["slim", "wide", "loose"], embeddings=RNG.normal(size=(3, 4)), preset="paper"))
    products.define("fit", preset="default-0.1")  # the same words, brought once
    products.define(products.criterion("colour").with_options(sharpen=0.4))  # what the encoder made is not brought
    assert products.migrate(Newer(), image_of, dry_run=True).brought == ("fit",)


def test_the_collections_own_encoder_embeds_only_what_lacks_an_embedding(location: Any) -> None:
    products = made(location, "products", ColourEncoder())
    planned = products.migrate(ColourEncoder(), image_of, dry_run=True)
    assert (planned.current, planned.left, planned.bytes, planned.brought) == (True, 0, 0, ())
    assert planned.remarks == ["colours is the collection's encoder already: only points without an embedding get one"]
    with pytest.raises(InputError, match="`images` must be given with an encoder"):
        products.migrate(Newer())


def test_changes_of_the_manifest_in_other_threads_are_all_kept(location: Any) -> None:
    products = made(location, "products", ColourEncoder())
    calls: list[Any] = [lambda name=f"c{n}": products.define(name, WORDS) for n in range(6)]
    calls += [lambda: products.migrate(Newer(), image_of, batch_size=10), lambda: products.materialize("hue")]
    calls += [lambda: products.rename_criterion("colour", "tint"), products.info]
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
    names = {"tint", "hue", *(f"c{n}" for n in range(6))}
    assert set(products.criteria) == names
    products.close()
    with CRLCollection.open("products", location=location, encoder=Newer()) as again:
        assert set(again.criteria) == names
        assert again.search(picture("blue"), criterion="tint", strategy="named", limit=3)


def test_a_migration_that_is_given_up_meanwhile_ends_with_an_error(
    location: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    products = made(location, "products", ColourEncoder())
    before = answers(products)

    @contextmanager
    def giving_up(*_: Any, **__: Any) -> Iterator[Any]:
        """A progress bar: between two batches, when no lock is taken, another thread drops the migration."""

        def advance(*_: Any) -> None:
            dropped = threading.Thread(target=products.drop_previous)
            dropped.start()
            dropped.join()

        yield advance

    monkeypatch.setattr("crl_qdrant.collection.upkeep.progress_bar", giving_up)
    with pytest.raises(InputError, match=r"the migration to 'newer' was given up meanwhile, by drop_previous\(\)"):
        products.migrate(Newer(), image_of, batch_size=10)
    assert answers(products) == before
    assert set(products._store.vector_sizes()) == {"image", "crl_colour"}
    products.close()
    with CRLCollection.open("products", location=location, encoder=ColourEncoder()) as again:
        assert answers(again) == before


def test_two_migrations_at_once_are_refused(location: Any) -> None:
    products = made(location, "products", ColourEncoder())

    def image(point: Any, payload: dict[str, Any]) -> Any:
        if point == 0:
            with pytest.raises(InputError, match="another thread is migrating this collection"):
                products.migrate(Newer(), image_of)
        return image_of(point, payload)

    assert products.migrate(Newer(), image).done


def test_another_process_that_has_it_open_is_told() -> None:
    from qdrant_client import QdrantClient

    client = QdrantClient(":memory:")
    products = made(client, "products", ColourEncoder())
    reader = CRLCollection.open("products", location=client, encoder=ColourEncoder())
    products.migrate(Newer(), image_of)
    with pytest.raises(ManifestError, match=r"has moved from encoder 'colours' to 'newer'.*open it again"):
        reader.refresh()


def test_points_that_lacked_an_embedding_get_the_criteria_too(location: Any) -> None:
    products = made(location, "products", ColourEncoder())
    broken = [n for n in PICTURES if n < 3]
    shown = {n: rgb for n, rgb in PICTURES.items() if n not in broken}

    def some(point: Any, payload: Any) -> Any:
        return image_of(point, payload) if point in shown else b"no picture"

    assert len(products.migrate(Newer(), some, on_error="skip").rejected) == 3
    assert products.info().criteria[0].points == 57
    mended = products.migrate(Newer(), image_of)
    assert (mended.left, mended.done) == (0, True)
    assert {each.name: each.points for each in products.info().criteria}["colour"] == 60
    assert products.search(picture(PICTURES[1]), criterion="colour", limit=1)[0].id == 1
