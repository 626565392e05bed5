"""Where a training is, kept in a file: what was stopped goes on after its last finished epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from crl_qdrant.errors import StoreError

__all__ = ["Checkpoint"]


class Checkpoint:
    """One file with the state of one training.

    Args:
        path: of the file; its folder is made.
        training: what is trained on what and how, in a form that JSON has. A state that was saved of another
            training is not gone on with.
    """

    def __init__(self, path: Path, training: Mapping[str, object]) -> None:
        self._path = path
        self._training = json.dumps(training, sort_keys=True)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The state that was saved of this training, its tensors on that device; None where there is none.

        Raises:
            StoreError: the file cannot be read.
        """
        if not self._path.exists():
            return None
        try:
            saved = torch.load(self._path, map_location=device, weights_only=True)
        except Exception as error:  # torch raises what its file formats raise
            raise StoreError(f"the checkpoint {self._path} cannot be read; delete it to begin anew: {error}") from error
        state: dict[str, Any] | None = saved["state"] if saved.get("training") == self._training else None
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state: tensors, numbers, texts, lists and dictionaries. The one before stays until this is complete.

        Raises:
            StoreError: it cannot be written.
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
