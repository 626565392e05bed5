"""Where torch computes, chosen once and by the same rule everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crl_qdrant.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device"]


def choose_device(device: str) -> torch.device:
    """The torch device for "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: not a device's name, or a GPU that this torch does not see.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}") from error
    if chosen.type not in ("cpu", "cuda"):
        raise InputError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {device!r} was asked for and torch sees {torch.cuda.device_count()} GPUs; "
            "use device='cpu', or install a CUDA build of torch and its driver"
        )
    return chosen
