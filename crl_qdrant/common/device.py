"""The device that torch computes on, chosen by one rule everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crl_qdrant.common.extras import needed
from crl_qdrant.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = ["check_device", "choose_device", "one_thread"]


def check_device(device: object) -> None:
    """Refuse an impossible device name, without loading torch to see whether it is there.

    Raises:
        InputError: if it is not "auto", "cpu", "cuda" or "cuda:N".
    """
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise InputError(f"`device` must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}")


def choose_device(device: str) -> torch.device:
    """Choose the torch device for "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: if it is not a device's name, or a GPU that this torch does not see.
        MissingPackageError: if torch is not installed.
    """
    check_device(device)
    with needed("torch", "gpu"):
        import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {device!r} was asked for and torch sees {torch.cuda.device_count()} GPUs; "
            "use device='cpu', or install a CUDA build of torch and its driver"
        )
    return chosen


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: operations too small to be divided would wait for another, long on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
