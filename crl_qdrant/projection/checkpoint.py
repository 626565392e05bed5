"""Checkpoint files: an interrupted training resumes after its last finished epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from crl_qdrant.errors import StoreError

__all__ = ["Checkpoint"]

_FORMAT: Final = 2  # of the state; one of another format is not resumed


class Checkpoint:
    """One file with the state of one training.

    Args:
        path: of the file; its folder is made.
        training: identifies the training (data, settings), as JSON values. The state of another training is not
            resumed.
    """

    def __init__(self, path: Path, training: Mapping[str, object]) -> None:
        self._path = path
        self._training = json.dumps([_FORMAT, training], sort_keys=True)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The saved state of this training, its tensors on that device; None if there is none.

        Raises:
            StoreError: if the file cannot be read.
        """
        if not self._path.exists():
            return None
        try:
            saved = torch.load(self._path, map_location=device, weights_only=True)
            training, state = saved["training"], saved["state"]
        except Exception as error:  # torch raises what its file formats raise, and the file may hold anything
            raise StoreError(f"the checkpoint {self._path} cannot be read; delete it to start over: {error}") from error
        if not isinstance(training, str) or not isinstance(state, dict):
            raise StoreError(f"the checkpoint {self._path} holds no state of a training; delete it to start over")
        return state if training == self._training else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Save a state of tensors, numbers, texts, lists and dictionaries; the previous one stays until it is complete.

        Raises:
            StoreError: if it cannot be written.
        """
        draft = self._path.with_name(f"{self._path.name}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                torch.save({"training": self._training, "state": dict(state)}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except (OSError, RuntimeError) as error:  # RuntimeError: torch's own where the disk is full
            raise StoreError(f"the checkpoint {self._path} cannot be written: {error}") from error
