"""Image embeddings of a data set, kept in a file; an interrupted run resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.encoders import Encoder
from crl_qdrant.errors import CRLError, DatasetError, ImageError, StoreError
from crl_qdrant.evaluation.datasets.files import few
from crl_qdrant.evaluation.representation import bind_encoder
from crl_qdrant.ingestion.pictures import ImageEmbedder

__all__ = ["embed_images"]


def embed_images(
    images: Sequence[Path], encoder: Encoder, folder: Path, *, batch_size: int = 64, progress: bool | None = None
) -> Float32Array:
    """Embeddings [N, d] of image files, unit rows.

    They are kept in `folder/embeddings-<key>.npy`; the key depends on the encoder's name and the list of files. Rows
    of zeros are still to do, so an interrupted run resumes. An image file that changes later is not noticed: delete
    the .npy then.

    Args:
        images: N files.
        encoder: embeds them.
        folder: keeps the embeddings.
        batch_size: images in memory at once.
        progress: a bar on the terminal; None: where there is a terminal.

    Raises:
        DatasetError: if some images cannot be read or embedded; the others are embedded and kept.
        EncoderError: if the encoder fails at every image.
        StoreError: if the folder cannot be written.
    """
    rows = _kept(folder, _key(images, encoder), (len(images), encoder.dimension))
    waiting = np.flatnonzero(~rows.any(axis=1))
    embedder = ImageEmbedder(bind_encoder(encoder), encoder.dimension, purpose="embed images")
    failed: list[str] = []
    with ThreadPoolExecutor() as threads, progress_bar("embedding images", total=len(images), show=progress) as advance:
        advance(len(images) - len(waiting))
        for start in range(0, len(waiting), batch_size):
            batch = waiting[start : start + batch_size]
            embeddings, errors = _embed_batch(embedder, [images[row] for row in batch.tolist()], threads)
            rows[batch] = embeddings
            rows.flush()
            failed += [_named(images[batch[at]], error) for at, error in errors.items()]
            advance(len(batch))
    if failed:
        raise DatasetError(f"{len(failed)} of {len(images)} images cannot be embedded: {few(failed)}")
    return np.array(rows)


def _embed_batch(
    embedder: ImageEmbedder, paths: Sequence[Path], threads: ThreadPoolExecutor
) -> tuple[Float32Array, dict[int, CRLError]]:
    """Embeddings [B, d] of files, zeros for those that failed; and the errors by position."""
    prepared = list(threads.map(lambda path: embedder.attempt(lambda: embedder.prepare(path)), paths))
    errors: dict[int, CRLError] = {at: each for at, each in enumerate(prepared) if isinstance(each, CRLError)}
    good = [at for at in range(len(paths)) if at not in errors]
    embeddings, failed = embedder.embed([prepared[at] for at in good])
    rows = np.zeros((len(paths), embeddings.shape[1]), dtype=np.float32)
    rows[good] = embeddings
    return rows, errors | {good[at]: error for at, error in failed.items()}


def _named(path: Path, error: CRLError) -> str:
    return str(error) if isinstance(error, ImageError) else f"image {path}: {error}"


def _key(images: Sequence[Path], encoder: Encoder) -> str:
    content = json.dumps([encoder.name, [str(path.resolve()) for path in images]])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _kept(folder: Path, key: str, shape: tuple[int, int]) -> np.memmap[Any, np.dtype[np.float32]]:
    """Open the file of that key for writing; a new one is all zeros."""
    path = folder / f"embeddings-{key}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            try:
                kept = np.lib.format.open_memmap(path, mode="r+")
                if kept.shape == shape and kept.dtype == np.float32:
                    return kept
            except ValueError:
                path.unlink()  # interrupted while it was made
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    except OSError as error:
        raise StoreError(f"embeddings cannot be kept in {folder}: {error}") from error
