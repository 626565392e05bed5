"""Loading from the Hugging Face hub: without a network at once from the cache, and with one line of what is wrong."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from crl_qdrant.errors import EncoderError

__all__ = ["hub"]

_TIMEOUT_S: Final = 5.0
_ADVICE: Final = (
    "models fetched before are read from the cache (HF_HUB_OFFLINE=1 does not even try the network), and a folder "
    "needs no network: open_clip:local-dir:<folder>, transformers:<folder>"
)
_LOCK: Final = threading.RLock()  # what is changed below is the process's


@contextmanager
def hub(*, local: bool) -> Iterator[None]:
    """Load a model: from the hub where it can be reached, otherwise only from what was fetched before.

    The libraries' own log lines are held back: their error comes back as one.

    Args:
        local: the model is a folder or file of this machine.

    Raises:
        EncoderError: if loading fails and the hub cannot be reached; other errors pass.
    """
    with _LOCK, ExitStack() as stack:
        stack.enter_context(_quiet())
        unreachable = None if local else _unreachable()
        if unreachable is None:
            yield
            return
        stack.enter_context(_offline())
        try:
            yield
        except ImportError:
            raise
        except Exception as error:
            raise EncoderError(f"{unreachable}, and it was not fetched before; {_ADVICE}") from error


def _unreachable() -> str | None:
    """Return why the hub cannot be reached, or None."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids the network"
    parts = urlsplit(os.environ.get("HF_ENDPOINT") or constants.ENDPOINT)
    if not parts.hostname or getproxies():
        return None  # a proxy knows more hosts than this machine
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname, port), timeout=_TIMEOUT_S).close()
    except OSError as error:
        return f"{parts.hostname} cannot be reached ({error})"
    return None


@contextmanager
def _offline() -> Iterator[None]:
    """Keep huggingface_hub from the network: it would try for a minute, six times for every file."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the loading libraries log: open_clip writes to the root logger, and gives it a handler."""
    loggers = [
        logging.getLogger(name) for name in (None, "huggingface_hub.utils._http", "huggingface_hub.file_download")
    ]
    silent, here = logging.NullHandler(), threading.get_ident()

    def of_another_thread(record: logging.LogRecord) -> bool:
        return record.thread != here

    loggers[0].addHandler(silent)
    for logger in loggers:  # a logger's filter sees only what is logged by that name
        logger.addFilter(of_another_thread)
    try:
        yield
    finally:
        loggers[0].removeHandler(silent)
        for logger in loggers:
            logger.removeFilter(of_another_thread)
