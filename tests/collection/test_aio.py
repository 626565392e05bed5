"""The asyncio collection: everything the other has, and a loop that is never blocked."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import ColourEncoder, picture
from qdrant_client import AsyncQdrantClient, QdrantClient
from waiting import wait_on_loop_until

from crl_qdrant import AsyncCRLCollection, Criterion, CRLCollection, InputError, NotFoundError, Query, StoreError


@pytest.fixture(params=["edge", "client", "async client"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "edge":
        yield tmp_path / "data"
    elif request.param == "client":
        client = QdrantClient(":memory:")
        yield client
        client.close()
    else:
        asynchronous = AsyncQdrantClient(":memory:")
        yield asynchronous
        asyncio.run(asynchronous.close())


class Held(AsyncQdrantClient):
    """A client whose searches wait, on the event loop, until so many of them have been asked for."""

    def __init__(self, number: int) -> None:
        super().__init__(":memory:")
        self.left = number
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def query_batch_points(self, *arguments: Any, **options: Any) -> Any:
        self.asked.set()
        self.left -= 1
        if self.left == 0:
            self.go_on.set()
        await self.go_on.wait()
        return await super().query_batch_points(*arguments, **options)


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_it_has_every_method_with_the_same_arguments() -> None:
    assert public(AsyncCRLCollection) - {"name"} == public(CRLCollection)
    for name in public(CRLCollection) - {"criteria", "close"}:
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (AsyncCRLCollection, CRLCollection))
        assert list(ours.parameters)[-3:] == list(theirs.parameters)[-3:]
        assert getattr(AsyncCRLCollection, name).__doc__ == getattr(CRLCollection, name).__doc__


def test_a_life_in_asyncio(location: Any) -> None:
    async def live() -> None:
        encoder = ColourEncoder()
        async with await AsyncCRLCollection.create("products", location=location, encoder=encoder) as products:
            await products.add([1, 2, 3], [picture("red"), picture("green"), picture("blue")])
            await products.define(Criterion("colour", ["red", "green", "blue"]))
            assert list(products.criteria) == ["colour"]
            assert await products.materialize("colour") == 3
            hits, others = await asyncio.gather(
                products.search(picture("blue"), criterion="colour", limit=1),
                products.search(text="something red", limit=1),
            )
            assert (hits[0].id, others[0].id) == (3, 1)
            (batch,) = await products.search_batch([Query(like=1, limit=2)])
            assert len(batch) == 2
            with pytest.raises(InputError, match="limit"):
                await products.search(like=1, limit=0)
        async with await AsyncCRLCollection.open("products", location=location, encoder=encoder) as products:
            assert (products.name, await products.count()) == ("products", 3)

    asyncio.run(live())


def test_the_loop_is_never_blocked(location: Any) -> None:
    encoding, loop_goes_on = threading.Event(), threading.Event()

    class Waiting(ColourEncoder):
        def encode_images(self, images: Any) -> Any:
            encoding.set()
            # were the loop blocked by this call, nobody could ever set the event
            assert loop_goes_on.wait(timeout=60)
            return super().encode_images(images)

    async def live() -> None:
        async with await AsyncCRLCollection.create("products", location=location, encoder=Waiting()) as products:
            await products.add([1, 2], embeddings=np.eye(4)[:2])
            searches = [asyncio.create_task(products.search(picture("red"))) for _ in range(4)]
            await wait_on_loop_until(encoding.is_set)
            assert not any(search.done() for search in searches)
            loop_goes_on.set()
            assert [len(hits) for hits in await asyncio.gather(*searches)] == [2, 2, 2, 2]

    asyncio.run(live())


def test_the_loop_goes_on_while_a_request_is_under_way() -> None:
    async def live() -> None:
        client = Held(2)
        async with await AsyncCRLCollection.create("products", location=client, dimension=4) as products:
            await products.add([1, 2], embeddings=np.eye(4)[:2])
            search = asyncio.create_task(products.search(like=1))
            await client.asked.wait()
            assert await products.count() == 2
            assert not search.done()
            client.go_on.set()
            assert [hit.id for hit in await search] == [2]
        assert await client.collection_exists("products")  # it is still open
        await client.close()

    asyncio.run(asyncio.wait_for(live(), timeout=60))


def test_two_collections_search_at_once() -> None:
    async def live() -> None:
        client = Held(2)
        every = [await AsyncCRLCollection.create(name, location=client, dimension=4) for name in ("coats", "shoes")]
        for products in every:
            await products.add([1, 2], embeddings=np.eye(4)[:2])
        # each would wait for ever for the other, were there not two requests at the same time
        found = await asyncio.gather(*(products.search(embedding=[0, 1, 0, 0], limit=1) for products in every))
        assert [hits[0].id for hits in found] == [2, 2]
        for products in every:
            await products.close()

    asyncio.run(asyncio.wait_for(live(), timeout=60))


def test_a_cancelled_call_is_no_longer_waited_for() -> None:
    async def live() -> None:
        client = Held(3)
        async with await AsyncCRLCollection.create("products", location=client, dimension=4) as products:
            await products.add([1, 2], embeddings=np.eye(4)[:2])
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(products.search(like=1), timeout=0.05)
            assert await products.count() == 2
            client.go_on.set()
            assert len(await products.search(like=1)) == 1

    asyncio.run(asyncio.wait_for(live(), timeout=60))


def test_a_loop_that_ends_leaves_no_thread_waiting() -> None:
    collections: list[AsyncCRLCollection] = []

    async def live() -> None:
        client = Held(2)
        products = await AsyncCRLCollection.create("products", location=client, dimension=4)
        collections.append(products)
        asyncio.get_running_loop().create_task(products.search(embedding=np.ones(4)))
        await client.asked.wait()

    asyncio.run(live())
    ended = threading.Thread(target=collections[0]._threads.shutdown, daemon=True)
    ended.start()
    ended.join(timeout=30)
    assert not ended.is_alive()


def test_errors_are_those_of_the_other_collection() -> None:
    async def live() -> None:
        client = AsyncQdrantClient(":memory:")
        with pytest.raises(NotFoundError, match="none at all"):
            await AsyncCRLCollection.open("products", location=client)
        gone = AsyncQdrantClient("http://127.0.0.1:9", check_compatibility=False)
        with pytest.raises(StoreError, match="cannot be reached"):
            await AsyncCRLCollection.open("products", location=gone)
        with pytest.raises(InputError, match=r"await AsyncCRLCollection\.create"):
            CRLCollection.create("products", location=client, dimension=4)
        with pytest.raises(InputError, match=r"CRLCollection takes a QdrantClient"):
            await asyncio.to_thread(CRLCollection.open, "products", location=client)
        await gone.close()

    asyncio.run(live())


def test_closed_twice_and_used_afterwards(location: Any) -> None:
    async def use() -> None:
        products = await AsyncCRLCollection.create("products", location=location, dimension=4)
        async with products:
            await products.close()
        for call in (products.count(), products.search(embedding=np.ones(4))):
            with pytest.raises(StoreError, match="was closed; open it again"):
                await call

    asyncio.run(use())
