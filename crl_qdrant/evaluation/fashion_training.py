"""The fashion table's rows with training (arXiv 2510.04564, D.3): heads first, then the image tower behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
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
from crl_qdrant.evaluation.attribute_retrieval import projected
from crl_qdrant.evaluation.datasets import (
    AttributeImages,
    AttributeRetrieval,
    Entries,
    load_deepfashion,
    load_deepfashion_training,
)
from crl_qdrant.evaluation.datasets.files import few
from crl_qdrant.evaluation.embed import embed_images
from crl_qdrant.evaluation.fine_tuning import fine_tune, STAGE_2
from crl_qdrant.evaluation.heads import Labelled, mean_precision, STAGE_1, train_paper_heads
from crl_qdrant.projection.checkpoint import Checkpoint
from crl_qdrant.projection.on_device import Projection
from crl_qdrant.projection.triplets import TripletSettings

__all__ = ["STAGE_1", "STAGE_2", "FashionTraining", "trained_methods"]

_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class FashionTraining:
    """Settings of the training.

    Attributes:
        root: the folder of DeepFashion, as its loaders take it.
        encoder: embeds the images; trained in place in the second stage.
        heads: settings of the first stage.
        tower: settings of the second stage, the image tower behind the heads; None: no second stage.
        limit: entries of each attribute, at most; None: all.
        out: the folder for embeddings, states and weights.
        device: where to train.
    """

    root: Path
    encoder: Encoder
    heads: TripletSettings
    tower: TripletSettings | None
    limit: int | None
    out: Path
    device: torch.device


def trained_methods(
    training: FashionTraining,
    test: Sequence[Path],
    test_images: Float32Array,
    projections: Mapping[str, Projection],
) -> dict[str, Callable[[str], Float32Array]]:
    """Train, and give the rows "CRL, trained" and "CRL*" of the test images for `evaluate_attributes`.

    An interrupted training resumes; a finished one is not repeated.

    Args:
        training: data and settings.
        test: N files.
        test_images: their embeddings, [N, d], unit rows.
        projections: by attribute, without heads.

    Raises:
        DatasetError: if files of the other two splits are missing or wrong, or have nothing of an attribute.
        InputError: if an attribute has a single value, or none that two images share.
        EncoderError: if the second stage is wanted and the encoder is not open_clip's.
        ImageError: if an image cannot be read in the second stage.
        StoreError: if the folder cannot be written.
    """
    root, limit, out = training.root, training.limit, training.out
    train, valid = load_deepfashion_training(root).limited(limit), load_deepfashion(root, split="valid").limited(limit)
    if lacking := [name for name in projections if name not in train.entries or name not in valid.queries]:
        raise DatasetError(f"{root} has nothing to train or validate {few(lacking)} with; leave those words out")
    trained = _train_heads(training, train, valid, projections)
    methods: dict[str, Callable[[str], Float32Array]] = {
        "CRL, trained": lambda name: projected(test_images, trained[name])
    }
    if training.tower is not None:
        weights = _tune_image_tower(training, training.tower, train, valid, trained)
        # embeddings are kept by the encoder's name, which has not changed
        tuned = embed_images(test, training.encoder, out / weights)
        methods["CRL*"] = lambda name: projected(tuned, trained[name])
    return methods


def _train_heads(
    training: FashionTraining,
    train: AttributeImages,
    valid: AttributeRetrieval,
    projections: Mapping[str, Projection],
) -> dict[str, Projection]:
    """Stage 1: the projections, each with its head. `out/heads.pt` keeps the state of the training."""
    train_images, valid_images = (embed_images(each.images, training.encoder, training.out) for each in (train, valid))
    given = _labelled(train.entries, train_images, projections)
    identity = {"settings": asdict(training.heads), "data": _digest(part for each in given.values() for part in each)}
    with progress_bar("training heads") as advance:
        heads, _ = train_paper_heads(
            given,
            _labelled(valid.queries, valid_images, projections),
            _labelled(valid.candidates, valid_images, projections),
            settings=training.heads,
            device=training.device,
            advance=advance,
            checkpoint=Checkpoint(training.out / "heads.pt", identity),
        )
    return {name: replace(projections[name], head=heads[name].to(torch.device("cpu"))) for name in projections}


def _tune_image_tower(
    training: FashionTraining,
    settings: TripletSettings,
    train: AttributeImages,
    valid: AttributeRetrieval,
    projections: Mapping[str, Projection],
) -> str:
    """Stage 2: train the encoder's image tower in place behind projections with heads; tell its weights from others.

    `out/tuned.pt` has the whole model's weights, a checkpoint for "open_clip:<model>/<path>"; `out/tuning.pt` keeps the
    state of the training.
    """
    encoder, out = training.encoder, training.out
    if not isinstance(encoder, OpenClipEncoder):
        raise EncoderError(f"fine-tuning needs an open_clip encoder; {encoder.name!r} is none")
    model = encoder.trainable()
    parts = (part for each in projections.values() for part in (each.matrix, *(each.head or ())))
    identity = {
        "settings": asdict(settings),
        "encoder": encoder.name,
        "data": [*map(str, train.images), _digest(part.numpy() for part in parts)],
    }
    with ThreadPoolExecutor() as threads, progress_bar("fine-tuning") as advance:
        read = _Reader(encoder, threads)
        fine_tune(
            model,
            lambda rows: torch.stack(read(train.images[row] for row in rows.tolist())),
            {name: (train.entries[name].rows, train.entries[name].values) for name in projections},
            {name: each.to(training.device) for name, each in projections.items()},
            settings=settings,
            measure=lambda: _precision(read, encoder, valid, projections),
            advance=advance,
            checkpoint=Checkpoint(out / "tuning.pt", identity),
        )
    weights = {name: each.cpu() for name, each in model.state_dict().items()}
    try:
        torch.save(weights, out / "tuned.pt")
    except (OSError, RuntimeError) as error:
        raise StoreError(f"the weights cannot be written to {out}: {error}") from error
    return f"tuned-{_digest(each.numpy() for name, each in weights.items() if name.startswith('visual.'))}"


class _Reader:
    """Reads and preprocesses image files in threads."""

    def __init__(self, encoder: OpenClipEncoder, threads: ThreadPoolExecutor) -> None:
        self._encoder = encoder
        self._threads = threads

    def __call__(self, paths: Iterable[Path]) -> list[Tensor]:
        return list(self._threads.map(lambda path: self._encoder.preprocess(decode(path)), paths))


def _precision(
    read: _Reader, encoder: OpenClipEncoder, valid: AttributeRetrieval, projections: Mapping[str, Projection]
) -> float:
    """The validation images' mAP by the encoder as it is now."""
    parts = [
        encoder.encode_images(read(valid.images[start : start + _AT_ONCE]))
        for start in range(0, len(valid.images), _AT_ONCE)
    ]
    images = np.concatenate(parts)
    queries, candidates = (_labelled(each, images, projections) for each in (valid.queries, valid.candidates))
    return mean_precision((queries[name], candidates[name]) for name in projections)


def _labelled(
    entries: Mapping[str, Entries], images: Float32Array, projections: Mapping[str, Projection]
) -> dict[str, Labelled]:
    """Each attribute's entries: representations and values."""
    return {
        name: Labelled(projected(images[entries[name].rows], projection), entries[name].values)
        for name, projection in projections.items()
    }


def _digest(arrays: Iterable[np.ndarray[Any, Any]]) -> str:
    """A digest of the arrays' content."""
    digest = hashlib.sha256()
    for each in arrays:
        digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()[:16]
