"""A checkpoint file is this training's, another's, or an error of ours, whatever is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from crl_qdrant import StoreError
from crl_qdrant.projection.checkpoint import Checkpoint


@pytest.mark.parametrize(
    "saved",
    [
        b"",
        b"text",
        b"PK\x03\x04 half a zip",
        b"\x80\x04N.",
        torch.zeros(2),
        [1, 2],
        "text",
        None,
        {},
        {"training": "x"},
        {"training": None, "state": {}},
        {"training": "x", "state": 7},
        {"training": "x", "state": None},
        {1: 2},
        Path("a"),
    ],
    ids=str,
)
def test_odd_files_are_an_error_of_ours(tmp_path: Path, saved: Any) -> None:
    path = tmp_path / "heads.pt"
    if isinstance(saved, bytes):
        path.write_bytes(saved)
    else:
        torch.save(saved, path)
    with pytest.raises(StoreError, match=r"heads\.pt .*delete it to start over"):
        Checkpoint(path, {}).load(torch.device("cpu"))
