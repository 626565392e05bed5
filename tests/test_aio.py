"""The asyncio collection: everything the other has, and a loop that is never blocked."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import numpy as np
import pytest
from fakes import ColourEncoder, picture

from crl_qdrant import AsyncCRLCollection, Criterion, CRLCollection, InputError, Query


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


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
    loop_goes_on = threading.Event()

    class Waiting(ColourEncoder):
        def encode_images(self, images: Any) -> Any:
            # were the loop blocked by this call, nobody could ever set the event
            assert loop_goes_on.wait(timeout=60)
            return super().encode_images(images)

    async def live() -> None:
        async with await AsyncCRLCollection.create("products", location=location, encoder=Waiting()) as products:
            await products.add([1, 2], embeddings=np.eye(4)[:2])
            searches = [asyncio.create_task(products.search(picture("red"))) for _ in range(4)]
            await asyncio.sleep(0.05)
            assert not any(search.done() for search in searches)
            loop_goes_on.set()
            assert [len(hits) for hits in await asyncio.gather(*searches)] == [2, 2, 2, 2]

    asyncio.run(live())
