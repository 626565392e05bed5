"""Waiting for a fact instead of for some time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Final, TypeVar

_PAUSE_S: Final = 0.002
AnyProcess = TypeVar("AnyProcess", subprocess.Popen[bytes], BaseProcess)


def wait_until(fact: Callable[[], bool], process: subprocess.Popen[bytes] | BaseProcess | None = None) -> None:
    """Wait for a fact that a process, where one is given, must bring about; pytest's timeout is the only limit."""
    while not fact():
        if process is not None:
            assert _is_running(process), "the process ended before it did what the test waits for"
        time.sleep(_PAUSE_S)


async def wait_on_loop_until(fact: Callable[[], bool]) -> None:
    """Wait for a fact and let the event loop work meanwhile."""
    while not fact():
        await asyncio.sleep(_PAUSE_S)


@contextmanager
def ctrl_c_when(fact: Callable[[], bool]) -> Iterator[None]:
    """Interrupt the main thread once, as Ctrl-C does, as soon as the fact holds."""
    over = threading.Event()

    def interrupt() -> None:
        while not over.is_set():
            if fact():
                os.kill(os.getpid(), signal.SIGINT)
                return
            over.wait(_PAUSE_S)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def ended_after(process: AnyProcess) -> Iterator[AnyProcess]:
    """Kill the process and wait for its end, however the test ends: a leaked one would keep its directory locked."""
    try:
        yield process
    finally:
        process.kill()
        process.wait() if isinstance(process, subprocess.Popen) else process.join()


def _is_running(process: subprocess.Popen[bytes] | BaseProcess) -> bool:
    return process.poll() is None if isinstance(process, subprocess.Popen) else process.is_alive()
