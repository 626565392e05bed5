"""Embeddings in a .npy file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crl_qdrant.common.arrays import Float32Array, matrix
from crl_qdrant.errors import EmbeddingError

__all__ = ["read_matrix"]


def read_matrix(path: Path) -> Float32Array:
    """Return the array [N, d] of a .npy file, float32; nothing in the file is run.

    Raises:
        EmbeddingError: if the file cannot be read, is damaged, promises more than it holds, or is no array [N, d].
    """
    try:
        with path.open("rb") as file:
            if file.read(6) != np.lib.format.MAGIC_PREFIX:
                raise EmbeddingError(
                    f"{path} cannot be read as a .npy file: it is none; numpy.save(path, array) writes one"
                )
        # mapped: a header that promises terabytes asks for no memory
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except EmbeddingError:
        raise
    except Exception as error:  # the header is parsed as Python, which raises whatever it met
        raise EmbeddingError(f"{path} cannot be read as a .npy file: {error or type(error).__name__}") from error
    return np.array(matrix(loaded, what=str(path)))
