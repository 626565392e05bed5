"""Image embeddings of a data set, made once: kept in a file, and gone on with after a stop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from crl_qdrant.common.arrays import Float32Array, unit_rows
from crl_qdrant.common.images import decode
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.encoders import Encoder
from crl_qdrant.errors import DatasetError, ImageError, StoreError
from crl_qdrant.evaluation.datasets.files import few

__all__ = ["embed_images"]


def embed_images(
    images: Sequence[Path], encoder: Encoder, folder: Path, *, batch_size: int = 64, progress: bool | None = None
) -> Float32Array:
    """Embeddings [N, d] of image files, unit rows.

    They are kept in `folder/embeddings-<key>.npy`, the key made of the encoder's name and the list of files. Rows
    there that are zero are still to do, so a run that was stopped goes on where it was. A file whose picture was
    changed afterwards is not noticed: delete the .npy.

    Args:
        images: N files.
        encoder: what embeds them.
        folder: where the embeddings are kept.
        batch_size: images in memory at once.
        progress: a bar on the terminal; None: where there is a terminal.

    Raises:
        DatasetError: images that cannot be read; the others are embedded and kept.
        EmbeddingError: the encoder gives another shape, or NaN or zero rows.
        StoreError: the folder cannot be written.
    """
    rows = _kept(folder, _key(images, encoder), (len(images), encoder.dimension))
    waiting = np.flatnonzero(~rows.any(axis=1))
    broken: list[str] = []
    with ThreadPoolExecutor() as threads, progress_bar("embedding images", total=len(images), show=progress) as advance:
        advance(len(images) - len(waiting))
        for start in range(0, len(waiting), batch_size):
            batch = waiting[start : start + batch_size]
            read = list(threads.map(lambda row: _read(images[row], encoder), batch.tolist()))
            good = [position for position, each in enumerate(read) if not isinstance(each, ImageError)]
            broken += [str(each) for each in read if isinstance(each, ImageError)]
            if good:
                embedded = encoder.encode_images([read[position] for position in good])
                what = f"what encoder {encoder.name!r} makes of images"
                rows[batch[good]] = unit_rows(embedded, what=what, rows=len(good), dimension=encoder.dimension)
                rows.flush()
            advance(len(batch))
    if broken:
        raise DatasetError(f"{len(broken)} of {len(images)} images cannot be read: {few(broken)}")
    return np.array(rows)


def _key(images: Sequence[Path], encoder: Encoder) -> str:
    content = json.dumps([encoder.name, [str(path.resolve()) for path in images]])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _kept(folder: Path, key: str, shape: tuple[int, int]) -> np.memmap[Any, np.dtype[np.float32]]:
    """The file of that key, opened for writing; a new one is all zeros."""
    path = folder / f"embeddings-{key}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            try:
                kept = np.lib.format.open_memmap(path, mode="r+")
                if kept.shape == shape and kept.dtype == np.float32:
                    return kept
            except ValueError:
                path.unlink()  # stopped while it was being made
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    except OSError as error:
        raise StoreError(f"embeddings cannot be kept in {folder}: {error}") from error


def _read(path: Path, encoder: Encoder) -> Any:
    """The picture, or what the encoder's `preprocess` makes of it; the error where it cannot be read."""
    try:
        image = decode(path)
    except ImageError as error:
        return error
    preprocess = getattr(encoder, "preprocess", None)
    return image if preprocess is None else preprocess(image)
