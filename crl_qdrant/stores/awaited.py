"""An asyncio client of Qdrant for code that is not: its requests run on the event loop while a thread waits."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Executor, wait
from functools import partial
from typing import Any, Final, TypeVar

from qdrant_client import AsyncQdrantClient

from crl_qdrant.errors import InputError

__all__ = ["AwaitedClient", "in_thread"]

R = TypeVar("R")

_LOOP: contextvars.ContextVar[asyncio.AbstractEventLoop | None] = contextvars.ContextVar("loop", default=None)
_LOOK_S: Final = 1.0  # how often a waiting thread looks whether the loop is still there


async def in_thread(threads: Executor | None, call: Callable[[], R]) -> R:
    """The result of a call that blocks, made in a thread; an `AwaitedClient` that it uses runs on this event loop.

    Args:
        threads: where; None for the loop's own threads.
        call: what to do, in a copy of this context.
    """
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    context.run(_LOOP.set, loop)
    return await loop.run_in_executor(threads, partial(context.run, call))


class AwaitedClient:
    """An `AsyncQdrantClient` with a `QdrantClient`'s methods, for threads that `in_thread` started.

    Each call's request is a task of the event loop that waits for the thread, and the thread waits for the task.

    Raises:
        InputError: this thread was started otherwise, so that there is no loop for the requests.
    """

    def __init__(self, client: AsyncQdrantClient) -> None:
        _loop()
        self._client = client

    @property
    def init_options(self) -> dict[str, Any]:
        """The options that the client was made with."""
        return self._client.init_options

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            return _result(method(*arguments, **options))

        return call


def _loop() -> asyncio.AbstractEventLoop:
    loop = _LOOP.get()
    if loop is None:
        raise InputError(
            "an AsyncQdrantClient goes with AsyncCRLCollection: await AsyncCRLCollection.create(…) or open(…); "
            "CRLCollection takes a QdrantClient"
        )
    return loop


def _result(request: Coroutine[Any, Any, R]) -> R:
    """Return a request's result, or raise its own error; RuntimeError if the loop ends before it."""
    loop = _loop()
    try:
        answer = asyncio.run_coroutine_threadsafe(request, loop)
        while not wait([answer], timeout=_LOOK_S).done:
            if loop.is_closed():
                raise RuntimeError("the event loop was closed before the answer came")
    except RuntimeError:  # the loop has been closed, so that nobody will ever run the request
        request.close()
        raise
    try:
        return answer.result()
    except CancelledError as error:
        raise RuntimeError("the event loop was stopped before the answer came") from error
