"""GeneCIS' Combiner: a network that makes one query of an image and a condition (Vaze et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.batches import batches
from crl_qdrant.common.images import decode
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.encoders import Encoder
from crl_qdrant.encoders.open_clip import OpenClipEncoder
from crl_qdrant.errors import EncoderError

__all__ = ["Combiner"]

_LAYERS: Final = (
    "text_projection_layer",
    "image_projection_layer",
    "combiner_layer",
    "output_layer",
    "dynamic_scalar.0",
    "dynamic_scalar.3",
)
_AT_ONCE: Final = 64

T = TypeVar("T")


class Combiner:
    """The published weights, `vitb16_combiner_head.pt`, behind the encoder they were trained with.

    The query is unit(W₂·relu(W₁·h) + s·t + (1 - s)·i). Here t and i are the embeddings of condition and image, not
    normalised. Of them, h = [relu(Wₜ·t), relu(Wᵢ·i)] and s = σ(w₂·relu(w₁·h)). Every W has a bias.

    Args:
        path: a state dictionary, its names with or without "module." before them.
        encoder: an open_clip encoder; the published weights belong to ViT-B/16 with `vitb16_backbone.pt`.

    Raises:
        EncoderError: if the weights cannot be read or are not a Combiner's, or do not fit the encoder.
    """

    def __init__(self, path: Path, encoder: Encoder) -> None:
        if not isinstance(encoder, OpenClipEncoder):
            raise EncoderError(f"the Combiner needs embeddings of an open_clip encoder; {encoder.name!r} is none")
        self._encoder = encoder
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises what its file formats raise
            raise EncoderError(f"the Combiner's weights {path} cannot be read: {error}") from error
        named = state if isinstance(state, Mapping) else {}
        weights = {str(name).removeprefix("module."): each for name, each in named.items()}
        wanted = [f"{layer}.{part}" for layer in _LAYERS for part in ("weight", "bias")]
        if missing := [name for name in wanted if name not in weights]:
            raise EncoderError(f"{path} has no weights of GeneCIS' Combiner: it lacks {', '.join(missing[:3])}")
        self._layers = {
            layer: (weights[f"{layer}.weight"].float(), weights[f"{layer}.bias"].float()) for layer in _LAYERS
        }
        dimension = int(self._layers["image_projection_layer"][0].shape[1])
        if dimension != encoder.dimension:
            raise EncoderError(
                f"{path} combines embeddings of {dimension} dimensions; "
                f"those of encoder {encoder.name!r} have {encoder.dimension}"
            )

    def queries(self, images: Sequence[Path], conditions: Sequence[str]) -> Float32Array:
        """One query for each image and the condition beside it.

        Args:
            images: Q files; each different one is embedded once.
            conditions: Q texts.

        Returns:
            float32 [Q, d], unit rows.
        """
        files, texts = _numbered(images), _numbered(conditions)
        parts = []
        with progress_bar("embedding references", total=len(files)) as advance:
            for batch in batches(files, _AT_ONCE):
                parts.append(self._encoder.encode_images([decode(path) for path in batch], unit=False))
                advance(len(batch))
        image = np.concatenate(parts)[[files[each] for each in images]]
        text = self._encoder.encode_texts(list(texts), unit=False)[[texts[each] for each in conditions]]
        return np.asarray(self.combined(torch.from_numpy(image), torch.from_numpy(text)).numpy())

    def combined(self, image: Tensor, text: Tensor) -> Tensor:
        """Unit rows [Q, d] of embeddings [Q, d] of images and texts, neither of unit length."""
        hidden = torch.cat(
            [
                functional.relu(self._layer("text_projection_layer", text)),
                functional.relu(self._layer("image_projection_layer", image)),
            ],
            dim=-1,
        )
        made = self._layer("output_layer", functional.relu(self._layer("combiner_layer", hidden)))
        share = self._layer("dynamic_scalar.3", functional.relu(self._layer("dynamic_scalar.0", hidden))).sigmoid()
        return functional.normalize(made + share * text + (1 - share) * image, dim=-1)

    def _layer(self, name: str, rows: Tensor) -> Tensor:
        return functional.linear(rows, *self._layers[name])


def _numbered(items: Iterable[T]) -> dict[T, int]:
    """Every different item, and its position among these."""
    return {item: position for position, item in enumerate(dict.fromkeys(items))}
