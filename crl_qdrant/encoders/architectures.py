"""The model families that `TransformersEncoder` knows: each one's inputs, and where its embeddings are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Architecture", "ARCHITECTURES"]


def _image_features(model: Any, pixels: Tensor) -> Tensor:
    features: Tensor = model.get_image_features(pixel_values=pixels).pooler_output
    return features


def _text_features(model: Any, tokens: Mapping[str, Tensor]) -> Tensor:
    features: Tensor = model.get_text_features(**tokens).pooler_output
    return features


def _mean_query(model: Any, pixels: Tensor) -> Tensor:
    """The mean of the unit embeddings of BLIP-2's image queries.

    BLIP-2 (arXiv 2301.12597, section 3.2) compares a text with all 32 of an image and takes the best cosine. That is
    no product with one vector, and R = I Tᵀ needs one: the mean, whose product with a text is the mean cosine.
    """
    from torch.nn import functional

    patches = model.vision_model(pixel_values=pixels).last_hidden_state
    queries = model.query_tokens.expand(len(pixels), -1, -1)
    answers = model.qformer(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
    projected = model.vision_projection(answers.to(model.vision_projection.weight.dtype))
    return functional.normalize(projected.float(), dim=-1).mean(dim=1)


def _first_token(model: Any, tokens: Mapping[str, Tensor]) -> Tensor:
    """BLIP-2's text embedding: its Q-Former reads the words without queries, and the first token is projected."""
    words = model.embeddings(input_ids=tokens["input_ids"])
    states = model.qformer(query_embeds=words, query_length=0, attention_mask=tokens["attention_mask"])
    projected: Tensor = model.text_projection(states.last_hidden_state[:, 0].to(model.text_projection.weight.dtype))
    return projected


@dataclass(frozen=True)
class Architecture:
    """One family of models.

    Attributes:
        title: its name in papers.
        model: the class in transformers.
        gpu_dtype: torch's name of the dtype that the model computes with on a GPU.
        max_tokens: a text is cut at so many tokens, those it was trained with; None for all its text tower has.
        tokenization: what the tokenizer is told besides.
        lower_case: it was trained with lower-case texts, and not every checkpoint's tokenizer sees to that.
        image_features: of a model and pixels [N, 3, H, W], the embeddings [N, d], not of unit length.
        text_features: of a model and tokens [K, L], the embeddings [K, d], not of unit length.
    """

    title: str
    model: str
    gpu_dtype: str = "float16"
    max_tokens: int | None = None
    tokenization: Mapping[str, Any] = field(default_factory=lambda: {"padding": True})
    lower_case: bool = False
    image_features: Callable[[Any, Tensor], Tensor] = _image_features
    text_features: Callable[[Any, Mapping[str, Tensor]], Tensor] = _text_features


ARCHITECTURES: Mapping[str, Architecture] = {
    "clip": Architecture("CLIP", "CLIPModel"),
    # trained with 64 positions, padding among them, none masked; the last one becomes the embedding
    "siglip": Architecture(
        "SigLIP and SigLIP 2 of fixed resolution",
        "SiglipModel",
        tokenization={"padding": "max_length", "padding_side": "right", "return_attention_mask": False},
        lower_case=True,
    ),
    # float32: bfloat16 is too coarse for that many convolutions, and float16's range may be too small for them
    "align": Architecture(
        "ALIGN", "AlignModel", gpu_dtype="float32", max_tokens=64, tokenization={"padding": "max_length"}
    ),
    # transformers keeps the Q-Former in float32 by itself
    "blip-2": Architecture(
        "BLIP-2 for image-text retrieval",
        "Blip2ForImageTextRetrieval",
        max_tokens=32,
        image_features=_mean_query,
        text_features=_first_token,
    ),
}
"""By `model_type`, the name in a checkpoint's config.json."""
