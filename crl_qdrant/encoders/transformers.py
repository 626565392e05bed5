"""Encoders from transformers: a repository of the Hugging Face hub, or a folder, with one of `ARCHITECTURES`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np
from PIL.Image import Image

from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.batches import batches
from crl_qdrant.common.device import choose_device
from crl_qdrant.common.extras import needed
from crl_qdrant.encoders.architectures import Architecture, ARCHITECTURES
from crl_qdrant.encoders.forward import embedded
from crl_qdrant.encoders.hub import hub
from crl_qdrant.errors import EncoderError, MissingPackageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TransformersEncoder"]


class TransformersEncoder:
    """A model of the transformers library as an encoder; embeddings are float32 with rows of unit length.

    Args:
        source: "<owner>/<repository>" of the Hugging Face hub ("google/siglip2-base-patch16-224"), or a folder with
            config.json, weights, tokenizer and preprocessor_config.json. `ARCHITECTURES` are the models it can hold.
        name: stored with the collection; "transformers:<source>" by default.
        device: "auto", "cpu", "cuda" or "cuda:N". On a GPU the model runs in its architecture's `gpu_dtype`.
        batch_size: images or texts in one forward pass.

    Raises:
        MissingPackageError: if transformers, or a package that the model's tokenizer needs, is not installed.
        EncoderError: if there is no such repository or folder, it cannot be fetched, or holds another architecture.
        InputError: if there is no such device.
    """

    def __init__(self, source: str, *, name: str | None = None, device: str = "auto", batch_size: int = 64) -> None:
        self.name = name or f"transformers:{source}"
        with needed("torch and transformers", "transformers"):
            import torch  # noqa: F401
        self._device = choose_device(device)
        self._batch_size = batch_size
        try:
            from transformers import AutoConfig, AutoImageProcessor

            with hub(local=Path(source).is_dir()):
                config = AutoConfig.from_pretrained(source, trust_remote_code=False)
                self._architecture = _architecture(config)
                self._dtype = self._architecture.gpu_dtype if self._device.type == "cuda" else "float32"
                self._max_tokens = self._architecture.max_tokens or config.text_config.max_position_embeddings
                self._tokenizer = _tokenizer(source, config)
                # torchvision resizes a little differently, and one name must stand for one way to see an image
                self._image_processor = AutoImageProcessor.from_pretrained(
                    source, backend="pil", trust_remote_code=False
                )
                self._model = _model(source, self._architecture, self._dtype).to(self._device)
            self.dimension = int(self.encode_texts(["a"]).shape[1])
        except ImportError as error:  # transformers itself, or what one of its tokenizers needs
            raise MissingPackageError(
                f'encoder "{self.name}" needs a package: pip install "crl-qdrant[transformers]" ({_reason(error)})'
            ) from error
        except Exception as error:  # transformers and its download layer raise whatever they met
            supported = ", ".join(architecture.title for architecture in ARCHITECTURES.values())
            raise EncoderError(
                f'cannot load encoder "{self.name}": {_reason(error)}. '
                f"It must be a repository or a folder of {supported}"
            ) from error

    def preprocess(self, image: Image | Tensor) -> Tensor:
        """The model's input [3, H, W], float32, of an image; what is one already stays as it is."""
        if isinstance(image, Image):
            tensor: Tensor = self._image_processor(images=image, return_tensors="pt").pixel_values[0]
            return tensor
        return image

    def encode_images(self, images: Sequence[Image | Tensor]) -> Float32Array:
        """Embeddings [N, d], float32, unit rows, of images or of what `preprocess` made of them."""
        import torch

        stacks = (torch.stack(batch) for batch in batches(map(self.preprocess, images), self._batch_size))
        pixels = (stack.to(self._device, getattr(torch, self._dtype)) for stack in stacks)
        return self._encode(self._architecture.image_features, pixels)

    def encode_texts(self, texts: Sequence[str]) -> Float32Array:
        """Embeddings [K, d], float32, unit rows; what is too long for the model is cut."""
        return self._encode(self._architecture.text_features, map(self._tokens, batches(texts, self._batch_size)))

    def _encode(self, features: Callable[[Any, Any], Tensor], inputs: Iterable[Any]) -> Float32Array:
        rows = embedded(lambda batch: features(self._model, batch), inputs)
        return np.concatenate(rows) if rows else np.empty((0, self.dimension), dtype=np.float32)

    def _tokens(self, texts: list[str]) -> Any:
        tokens = self._tokenizer(
            [text.lower() for text in texts] if self._architecture.lower_case else texts,
            truncation=True,
            max_length=self._max_tokens,
            return_token_type_ids=False,
            return_tensors="pt",
            **self._architecture.tokenization,
        )
        return tokens.to(self._device)


def _architecture(config: Any) -> Architecture:
    """Return the architecture that a checkpoint's config.json names.

    Raises:
        EncoderError: if it is not one of ours.
    """
    if config.model_type == "siglip2":  # the name of NaFlex alone; SigLIP 2 of fixed resolution is "siglip" there
        raise EncoderError(
            "SigLIP 2 NaFlex takes pictures cut into patches; choose a checkpoint of fixed resolution, "
            "google/siglip2-base-patch16-224 for one"
        )
    if config.model_type not in ARCHITECTURES:
        raise EncoderError(f"it holds a model of type {config.model_type!r}")
    architecture = ARCHITECTURES[config.model_type]
    held = config.architectures or [architecture.model]
    if architecture.model not in held:
        raise EncoderError(f"it holds {', '.join(held)}, and what is needed is {architecture.model}")
    return architecture


def _tokenizer(source: str, config: Any) -> Any:
    """Load the checkpoint's tokenizer.

    Raises:
        EncoderError: if its files are missing, which transformers would replace by a vocabulary without words.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, config=config, trust_remote_code=False)
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise EncoderError("it holds no vocabulary (tokenizer.json)")
    return tokenizer


def _model(source: str, architecture: Architecture, dtype: str) -> Any:
    """Load the model with its weights, all of them the checkpoint's.

    Raises:
        EncoderError: if weights are missing, which transformers would replace by random ones.
    """
    import transformers

    model_class = getattr(transformers, architecture.model)
    model, loading = model_class.from_pretrained(source, dtype=dtype, output_loading_info=True)
    if missing := sorted(loading["missing_keys"]):
        raise EncoderError(f"its checkpoint lacks weights, {len(missing)} in all: {', '.join(missing[:3])}")
    return model


def _reason(error: Exception) -> str:
    """The first line of a message that may be a page long."""
    return str(error).strip().partition("\n")[0].rstrip(".")
