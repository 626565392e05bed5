"""`AsyncCRLCollection`: the same collection for asyncio programs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from crl_qdrant.collection import CRLCollection
from crl_qdrant.collection.process import OneProcess
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.errors import StoreError
from crl_qdrant.stores.awaited import in_thread

__all__ = ["AsyncCRLCollection"]

P = ParamSpec("P")
R = TypeVar("R")

_THREADS: Final = 32  # calls under way at once; a call to a server only waits


def _in_thread(
    method: Callable[Concatenate[CRLCollection, P], R],
) -> Callable[Concatenate[AsyncCRLCollection, P], Coroutine[Any, Any, R]]:
    async def call(self: AsyncCRLCollection, /, *arguments: P.args, **options: P.kwargs) -> R:
        return await self._run(partial(method, self._collection, *arguments, **options))

    return update_wrapper(call, method)


def _opening(method: Callable[P, CRLCollection]) -> Callable[P, Coroutine[Any, Any, AsyncCRLCollection]]:
    async def call(*arguments: P.args, **options: P.kwargs) -> AsyncCRLCollection:
        return AsyncCRLCollection(await in_thread(None, partial(method, *arguments, **options)))

    return update_wrapper(call, method)


class AsyncCRLCollection(OneProcess):
    """A `CRLCollection` whose methods are awaited: the same names, arguments, results and errors.

    Every call runs in a thread of the collection's own, so the event loop is not blocked: not by an encoder, not by a
    scan or the building of an index. Qdrant Edge makes all other threads wait during a call of its own, which takes a
    fraction of a millisecond for a search by an index and some tens for a batch of writes. The requests of an
    `AsyncQdrantClient` that was passed as location run on the loop that awaits the call. A call that is cancelled is no
    longer waited for and still runs in its thread, so that memory keeps step with the store. It is an async context
    manager.
    """

    create = staticmethod(_opening(CRLCollection.create))
    open = staticmethod(_opening(CRLCollection.open))

    def __init__(self, collection: CRLCollection) -> None:
        self._collection = collection
        self._closed = False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"crl-{collection.name}")
        self.name = collection.name
        self._belong_here()

    async def _run(self, call: Callable[[], R]) -> R:
        self._require_process()
        try:
            return await in_thread(self._threads, call)
        except RuntimeError as error:
            if self._closed:
                raise StoreError(f"collection {self.name!r} was closed; open it again") from error
            raise

    async def __aenter__(self) -> AsyncCRLCollection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the directory or connection. A client that was passed in stays open. Nothing in a forked process."""
        if self._is_forked:
            return
        self._closed = True
        await in_thread(None, self._collection.close)
        self._threads.shutdown(wait=False)

    @property
    def criteria(self) -> dict[str, Criterion]:
        """The criteria by name, with their words' embeddings."""
        return self._collection.criteria

    add = _in_thread(CRLCollection.add)
    ingest = _in_thread(CRLCollection.ingest)
    delete = _in_thread(CRLCollection.delete)
    count = _in_thread(CRLCollection.count)
    info = _in_thread(CRLCollection.info)
    criterion = _in_thread(CRLCollection.criterion)
    define = _in_thread(CRLCollection.define)
    materialize = _in_thread(CRLCollection.materialize)
    drop_criterion = _in_thread(CRLCollection.drop_criterion)
    rename_criterion = _in_thread(CRLCollection.rename_criterion)
    inspect = _in_thread(CRLCollection.inspect)
    tag = _in_thread(CRLCollection.tag)
    ablate = _in_thread(CRLCollection.ablate)
    measure_composed = _in_thread(CRLCollection.measure_composed)
    migrate = _in_thread(CRLCollection.migrate)
    drop_previous = _in_thread(CRLCollection.drop_previous)
    ids_of_keys = _in_thread(CRLCollection.ids_of_keys)
    optimize = _in_thread(CRLCollection.optimize)
    refresh = _in_thread(CRLCollection.refresh)
    representations = _in_thread(CRLCollection.representations)
    cluster = _in_thread(CRLCollection.cluster)
    few_shot = _in_thread(CRLCollection.few_shot)
    train_head = _in_thread(CRLCollection.train_head)
    drop_head = _in_thread(CRLCollection.drop_head)
    search = _in_thread(CRLCollection.search)
    search_batch = _in_thread(CRLCollection.search_batch)
    explain_plan = _in_thread(CRLCollection.explain_plan)
    rerank = _in_thread(CRLCollection.rerank)
    describe = _in_thread(CRLCollection.describe)
    estimate_recall = _in_thread(CRLCollection.estimate_recall)
