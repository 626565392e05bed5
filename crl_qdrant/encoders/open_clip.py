"""Encoders from open_clip: its model zoo, Hugging Face repositories in its format, local checkpoints."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np
from PIL.Image import Image

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.batches import batches
from crl_qdrant.common.device import choose_device
from crl_qdrant.encoders.forward import embedded
from crl_qdrant.encoders.hub import hub
from crl_qdrant.errors import EncoderError, MissingPackageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OpenClipEncoder"]

_SCHEMAS = ("hf-hub:", "local-dir:")


class OpenClipEncoder:
    """An open_clip model as an encoder; embeddings are float32 with rows of unit length.

    Args:
        source: "<model>/<pretrained tag or checkpoint path>" ("ViT-B-32/laion2b_s34b_b79k"), "local-dir:<folder>"
            with `open_clip_config.json` and weights, or "hf-hub:<owner>/<repository>".
        name: stored with the collection; "open_clip:<source>" by default.
        device: "auto", "cpu", "cuda" or "cuda:N". On a GPU the model runs in half precision.
        batch_size: images or texts in one forward pass.

    Raises:
        MissingPackageError: if open_clip is not installed.
        EncoderError: if there is no such model or tag, or its weights cannot be fetched or do not fit.
        InputError: if there is no such device.
    """

    def __init__(self, source: str, *, name: str | None = None, device: str = "auto", batch_size: int = 64) -> None:
        try:
            import open_clip
        except ImportError as error:
            raise MissingPackageError(
                f'encoder "open_clip:{source}" needs open_clip: pip install "crl-qdrant[open-clip]" ({error})'
            ) from error
        import torch

        self.name = name or f"open_clip:{source}"
        self._device = choose_device(device)
        self._dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        self._batch_size = batch_size
        precision = "fp16" if self._dtype is torch.float16 else "fp32"
        model_name, pretrained = _split(source)
        try:
            with hub(local=source.startswith("local-dir:") or bool(pretrained and Path(pretrained).is_file())):
                self._model = open_clip.create_model(
                    model_name, pretrained=pretrained, precision=precision, device=self._device, require_pretrained=True
                )
            wanted = open_clip.transform.PreprocessCfg(**self._model.visual.preprocess_cfg)
            self._transform = open_clip.transform.image_transform_v2(wanted, is_train=False)
            self._tokenizer = open_clip.get_tokenizer(model_name)
        except Exception as error:  # open_clip and its download layer raise whatever they met
            raise EncoderError(f'cannot load encoder "{self.name}": {error}') from error
        self._model.eval()
        self.dimension = int(self.encode_texts(["a"]).shape[1])

    def preprocess(self, image: Image | Tensor) -> Tensor:
        """The model's input [3, H, W], float32, of an image; what is one already stays as it is."""
        if isinstance(image, Image):
            tensor: Tensor = self._transform(image)
            return tensor
        return image

    def encode_images(self, images: Sequence[Image | Tensor], *, unit: bool = True) -> Float32Array:
        """Embeddings [N, d], float32, of images or of what `preprocess` made of them.

        Rows have unit length, or the model's own where `unit` is False.
        """
        import torch

        stacks = (torch.stack(batch) for batch in batches(map(self.preprocess, images), self._batch_size))
        return self._encode(self._model.encode_image, (stack.to(self._device, self._dtype) for stack in stacks), unit)

    def encode_texts(self, texts: Sequence[str], *, unit: bool = True) -> Float32Array:
        """Embeddings [K, d], float32; rows have unit length, or the model's own where `unit` is False."""
        tokens = (self._tokenizer(batch).to(self._device) for batch in batches(texts, self._batch_size))
        return self._encode(self._model.encode_text, tokens, unit)

    def trainable(self) -> Any:
        """The model itself, in single precision from now on; `encode_images` uses its weights as they change.

        Weights that were loaded in half precision, as on a GPU, stay as they were rounded.
        """
        import torch

        self._dtype = torch.float32
        return self._model.float()

    def _encode(self, tower: Any, inputs: Iterable[Tensor], unit: bool) -> Float32Array:
        rows = embedded(tower, inputs, unit=unit)
        return np.concatenate(rows) if rows else np.empty((0, self.dimension), dtype=np.float32)


def _split(source: str) -> tuple[str, str | None]:
    """Split the source into open_clip's two arguments; a name that its lists lack is answered with suggestions."""
    import open_clip

    if source.startswith(_SCHEMAS):
        return source, None
    model_name, _, pretrained = source.partition("/")
    if model_name not in open_clip.list_models():
        near = difflib.get_close_matches(model_name, open_clip.list_models(), n=3, cutoff=0.4)
        raise EncoderError(
            f'open_clip has no model "{model_name}"; '
            + (f"did you mean {', '.join(near)}? " if near else "")
            + "open_clip.list_models() lists them"
        )
    tags = open_clip.list_pretrained_tags_by_model(model_name)
    if not pretrained:
        raise EncoderError(
            f'"open_clip:{source}" names no weights; add "/" and a tag ({", ".join(tags[:4])}, …) '
            "or the path of a checkpoint"
        )
    if pretrained not in tags and not Path(pretrained).is_file():
        raise EncoderError(
            f'"{pretrained}" is neither a pretrained tag of {model_name} nor a file; '
            f"its tags are {', '.join(tags) or 'none'}"
        )
    return model_name, pretrained
