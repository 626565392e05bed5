"""Encoders turn images and texts into embeddings of one space."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from crl_qdrant.encoders.encoder import Encoder
from crl_qdrant.errors import EncoderError

__all__ = ["Encoder", "full_name", "load_encoder"]


def load_encoder(encoder: str | Encoder, *, device: str = "auto") -> Encoder:
    """Load the encoder of a name; an encoder object is checked and returned.

    Args:
        encoder: "open_clip:<model>/<pretrained tag or checkpoint path>", "transformers:<repository or folder>",
            "demo" (the small model that ships with the package), or any object with `encode_images`,
            `encode_texts`, `dimension` and `name`.
        device: "auto", "cpu", "cuda" or "cuda:N"; an object chooses its own.

    Raises:
        EncoderError: if there is no such encoder, or an object lacks one of the four or has another kind of them.
        MissingPackageError: if the encoder's package is not installed.
    """
    if not isinstance(encoder, str):
        lacking = [
            name for name in ("name", "dimension", "encode_images", "encode_texts") if not hasattr(encoder, name)
        ]
        if lacking:
            raise EncoderError(
                "an encoder has name, dimension, encode_images and encode_texts; "
                f"{encoder!r} lacks {', '.join(lacking)}"
            )
        if isinstance(encoder, type) or not isinstance(encoder.name, str) or not encoder.name:
            raise EncoderError(f"an encoder must be an object whose name is a text, got {encoder!r:.80}")
        dimension = encoder.dimension
        if isinstance(dimension, bool) or not hasattr(dimension, "__index__") or dimension < 1:
            raise EncoderError(
                f"the dimension of encoder {encoder.name!r} must be a whole number above 0, got {dimension!r:.80}"
            )
        return encoder
    encoder = full_name(encoder)
    if encoder == "demo":
        from crl_qdrant.encoders.open_clip import OpenClipEncoder

        return OpenClipEncoder(f"local-dir:{files('crl_qdrant.demo') / 'model'}", name="demo", device=device)
    kind, _, source = encoder.partition(":")
    if kind == "open_clip" and source:
        from crl_qdrant.encoders.open_clip import OpenClipEncoder

        return OpenClipEncoder(source, device=device)
    if kind == "transformers" and source:
        from crl_qdrant.encoders.transformers import TransformersEncoder

        return TransformersEncoder(source, device=device)
    raise EncoderError(
        f'unknown encoder "{encoder}"; use "open_clip:<model>/<pretrained tag or checkpoint path>", '
        '"transformers:<repository or folder>", "demo", '
        "or an object with encode_images, encode_texts, dimension and name"
    )


def full_name(encoder: str) -> str:
    """Return the name with its local folder or file spelled out: a collection may be opened from elsewhere."""
    kind, _, source = encoder.partition(":")
    if kind == "open_clip" and source:
        return f"{kind}:{_absolute(source)}"
    if kind == "transformers" and source and Path(source).is_dir():
        return f"{kind}:{Path(source).resolve()}"
    return encoder


def _absolute(source: str) -> str:
    kind, _, rest = source.partition(":")
    if kind == "local-dir":
        return f"local-dir:{Path(rest).resolve()}"
    model, _, pretrained = source.partition("/")
    return f"{model}/{Path(pretrained).resolve()}" if pretrained and Path(pretrained).is_file() else source
