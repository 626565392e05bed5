"""The fashion table's rows with training (arXiv 2510.04564, D.3): heads first, then the image tower behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.images import decode
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.encoders import Encoder
from crl_qdrant.encoders.open_clip import OpenClipEncoder
from crl_qdrant.errors import DatasetError, EncoderError, StoreError
from crl_qdrant.evaluation.datasets import (
    AttributeImages,
    AttributeRetrieval,
    Entries,
    load_deepfashion,
    load_deepfashion_training,
)
from crl_qdrant.evaluation.datasets.files import few
from crl_qdrant.evaluation.embed import embed_images
from crl_qdrant.evaluation.fashion import projected
from crl_qdrant.evaluation.fine_tuning import fine_tune, IntArray, STAGE_2
from crl_qdrant.evaluation.heads import Labelled, mean_precision, STAGE_1, train_paper_heads
from crl_qdrant.projection.checkpoint import Checkpoint
from crl_qdrant.projection.on_device import Projection
from crl_qdrant.projection.triplets import TripletSettings

__all__ = ["STAGE_1", "STAGE_2", "train_fashion_heads", "trained_methods", "tune_image_tower"]

_AT_ONCE: Final = 256


def trained_methods(
    root: Path,
    test: Sequence[Path],
    test_images: Float32Array,
    encoder: Encoder,
    projections: Mapping[str, Projection],
    heads: TripletSettings,
    tower: TripletSettings | None,
    *,
    limit: int | None,
    out: Path,
    device: torch.device,
) -> dict[str, Callable[[str], Float32Array]]:
    """The rows "CRL, trained" and "CRL*" for `evaluate_attributes`, of the test images.

    Args:
        root: of DeepFashion, as its loaders take it.
        test: N files.
        test_images: their embeddings, [N, d], unit rows.
        encoder: what made them; trained in place where there is a second stage.
        projections: by attribute.
        heads: how the heads are trained.
        tower: how the image tower is, behind them; None: not at all.
        limit: entries of each attribute, at most; None: all.
        out: the folder for embeddings, states and weights.
        device: where to train.

    Raises:
        DatasetError: files of the other two splits that are missing or wrong, or have nothing of an attribute.
        EncoderError, InputError, ImageError, StoreError: as the stages do.
    """
    train, valid = load_deepfashion_training(root).limited(limit), load_deepfashion(root, split="valid").limited(limit)
    if lacking := [name for name in projections if name not in train.entries or name not in valid.queries]:
        raise DatasetError(f"{root} has nothing to train or validate {few(lacking)} with; leave those words out")
    train_images, valid_images = (embed_images(each.images, encoder, out) for each in (train, valid))
    trained = train_fashion_heads(
        train, train_images, valid, valid_images, projections, out, settings=heads, device=device
    )
    methods: dict[str, Callable[[str], Float32Array]] = {
        "CRL, trained": lambda name: projected(test_images, trained[name])
    }
    if tower is not None:
        weights = tune_image_tower(encoder, train, valid, trained, out, settings=tower, device=device)
        # embeddings are kept by the encoder's name, which is still what it was
        tuned = embed_images(test, encoder, out / weights)
        methods["CRL*"] = lambda name: projected(tuned, trained[name])
    return methods


def train_fashion_heads(
    train: AttributeImages,
    train_images: Float32Array,
    valid: AttributeRetrieval,
    valid_images: Float32Array,
    projections: Mapping[str, Projection],
    out: Path,
    *,
    settings: TripletSettings = STAGE_1,
    device: torch.device,
    progress: bool | None = None,
) -> dict[str, Projection]:
    """Stage 1: the projections, each with its head. What was stopped goes on, what was finished is there at once.

    Args:
        train, valid: images by attribute, to train on and to choose the best epoch by.
        train_images, valid_images: their embeddings, [N, d], unit rows.
        projections: by attribute, without heads.
        out: the folder for `heads.pt`, the state of the training.
        settings: how; the paper's by default.
        device: where to train.
        progress: a bar on the terminal; None: where there is a terminal.

    Raises:
        InputError: an attribute with a single value, or without one that two images have.
        StoreError: the state cannot be kept in the folder.
    """
    given = _labelled(train.entries, train_images, projections)
    training = {"settings": asdict(settings), "data": _digest(part for each in given.values() for part in each)}
    with progress_bar("training heads", show=progress) as advance:
        heads, _ = train_paper_heads(
            given,
            _labelled(valid.queries, valid_images, projections),
            _labelled(valid.candidates, valid_images, projections),
            settings=settings,
            device=device,
            advance=advance,
            checkpoint=Checkpoint(out / "heads.pt", training),
        )
    return {name: replace(projections[name], head=heads[name].to(torch.device("cpu"))) for name in projections}


def tune_image_tower(
    encoder: Encoder,
    train: AttributeImages,
    valid: AttributeRetrieval,
    projections: Mapping[str, Projection],
    out: Path,
    *,
    settings: TripletSettings = STAGE_2,
    device: torch.device,
    progress: bool | None = None,
) -> str:
    """Stage 2: train the encoder's image tower in place, through projections and heads that stay as they are.

    `out/tuned.pt` has the whole model's weights, a checkpoint for "open_clip:<model>/<path>"; `out/tuning.pt` the state
    of the training, from which what was stopped goes on.

    Args:
        encoder: one of open_clip's.
        train, valid: images by attribute, to train on and to choose the best epoch by.
        projections: by attribute, each with its head.
        out: the folder for the two files.
        settings: how; the paper's by default.
        device: where to train: the encoder's.
        progress: a bar on the terminal; None: where there is a terminal.

    Returns:
        What tells these weights from others, a few letters and digits.

    Raises:
        EncoderError: an encoder that is not open_clip's.
        ImageError: an image that cannot be read.
        StoreError: the files cannot be written.
    """
    if not isinstance(encoder, OpenClipEncoder):
        raise EncoderError(f"fine-tuning needs an open_clip encoder; {encoder.name!r} is none")
    model = encoder.trainable()
    on_device = {name: each.to(device) for name, each in projections.items()}
    items = {name: (train.entries[name].rows, train.entries[name].values) for name in projections}

    with ThreadPoolExecutor() as threads:

        def read(paths: Iterable[Path]) -> list[Tensor]:
            return list(threads.map(lambda path: encoder.preprocess(decode(path)), paths))

        def pixels_of(rows: IntArray) -> Tensor:
            return torch.stack(read(train.images[row] for row in rows.tolist()))

        def measure() -> float:
            parts = [
                encoder.encode_images(read(valid.images[start : start + _AT_ONCE]))
                for start in range(0, len(valid.images), _AT_ONCE)
            ]
            images = np.concatenate(parts)
            queries, candidates = (_labelled(each, images, projections) for each in (valid.queries, valid.candidates))
            return mean_precision((queries[name], candidates[name]) for name in projections)

        kept = (part for each in projections.values() for part in (each.matrix, *(each.head or ())))
        training = {
            "settings": asdict(settings),
            "encoder": encoder.name,
            "data": [*map(str, train.images), _digest(part.numpy() for part in kept)],
        }
        with progress_bar("fine-tuning", show=progress) as advance:
            fine_tune(
                model,
                pixels_of,
                items,
                on_device,
                settings=settings,
                measure=measure,
                advance=advance,
                checkpoint=Checkpoint(out / "tuning.pt", training),
            )
    weights = {name: each.cpu() for name, each in model.state_dict().items()}
    try:
        torch.save(weights, out / "tuned.pt")
    except (OSError, RuntimeError) as error:
        raise StoreError(f"the weights cannot be written to {out}: {error}") from error
    return f"tuned-{_digest(each.numpy() for name, each in weights.items() if name.startswith('visual.'))}"


def _labelled(
    entries: Mapping[str, Entries], images: Float32Array, projections: Mapping[str, Projection]
) -> dict[str, Labelled]:
    """What each attribute's entries are compared by, and their values."""
    return {
        name: Labelled(projected(images[entries[name].rows], projection), entries[name].values)
        for name, projection in projections.items()
    }


def _digest(arrays: Iterable[np.ndarray[Any, Any]]) -> str:
    """What tells these arrays from others."""
    digest = hashlib.sha256()
    for each in arrays:
        digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()[:16]
