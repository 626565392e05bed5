"""A .npy file is read, or refused with an error of ours, whatever is in it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from crl_qdrant import EmbeddingError
from crl_qdrant.common.npy import read_matrix


def with_header(header: str, data: bytes = b"") -> bytes:
    padded = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + data


def saved(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)  # type: ignore[arg-type]
    return buffer.getvalue()


def test_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6.0).reshape(3, 2))
    assert read_matrix(path).tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"PK\x03\x04 a zip",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00\x10\x00{}",
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 512), }"),
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }"),
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**9, 2), }"),
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", b"short"),
        with_header("{'descr': 'no type', 'fortran_order': False, 'shape': (2, 2), }"),
        with_header("{'descr': [('a', ", b""),
        with_header("(" * 100),
        with_header("__import__('os').abort()"),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{",
        saved(np.array([{"a": 1}], dtype=object)),
        saved(np.array(["a"])),
        saved(np.arange(3)),
        saved(np.float32(3)),
        saved(np.array([[1j]])),
    ],
    ids=range(19),
)
def test_what_is_no_array_of_embeddings(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(EmbeddingError, match=r"a\.npy"):
        read_matrix(path)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.npy", tmp_path):
        with pytest.raises(EmbeddingError, match="cannot be read"):
            read_matrix(path)
