"""Images of every mode and colour profile -> sRGB, a strip at a time, so that little more than the result is held."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from PIL import Image

from crl_qdrant.errors import ImageError

__all__ = ["srgb", "strips"]

_STRIP_PIXELS: Final = 1 << 20

_Converter = Callable[[Image.Image], Image.Image]


def srgb(image: Image.Image) -> Image.Image:
    """Return the image in mode RGB with sRGB colours, transparency laid on white; a loaded RGB image may be itself.

    16-bit grey (I;16) is scaled from 0..65535. The modes I and F name no range: it is taken from the brightest
    pixel, 0..1 (F), 0..255 or 0..65535.

    Raises:
        ImageError: if a pixel of a mode I or F image is negative, NaN or above 65535.
    """
    if image.mode in ("RGBa", "La"):  # premultiplied
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    to_rgb = _profile_converter(image) or _mode_converter(image)
    transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if to_rgb is None and not transparent and image.mode == "RGB":
        return image
    result = Image.new("RGB", image.size, "white")
    for top, strip in strips(image):
        opaque = to_rgb(strip) if to_rgb is not None else strip.convert("RGB")
        result.paste(opaque, (0, top), strip.convert("RGBA").getchannel("A") if transparent else None)
    return result


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the image in strips of whole rows, each with its first row's number."""
    height = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, height):
        yield top, image.crop((0, top, image.width, min(top + height, image.height)))


def _mode_converter(image: Image.Image) -> _Converter | None:
    if image.mode.startswith("I;16"):
        return _scaler(255 / 65535)
    if image.mode in ("I", "F"):
        return _scaler(_scale(image))
    return None


def _scale(image: Image.Image) -> float:
    """Return the factor that brings a mode I or F image to 0..255."""
    least, most = np.inf, -np.inf
    for _, strip in strips(image):
        values = np.asarray(strip)
        least, most = min(least, float(values.min())), max(most, float(values.max()))
        if not -1e-3 <= least <= most <= 65535:  # NaN too
            raise ImageError(
                f"the image of mode {image.mode} has pixels from {least:g} to {most:g}, or NaN; scale them to 0..255"
            )
    if image.mode == "F" and most <= 1.001:
        return 255.0
    return 1.0 if most <= 255 else 255 / 65535


def _scaler(factor: float) -> _Converter:
    def convert(strip: Image.Image) -> Image.Image:
        values = np.asarray(strip).astype(np.float32) * factor
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")

    return convert


def _profile_converter(image: Image.Image) -> _Converter | None:
    """Return what takes the image's colours to sRGB, or None where it has no profile, sRGB's, or a damaged one."""
    try:
        from PIL import ImageCms
    except ImportError:  # a Pillow built without LittleCMS
        return None
    embedded = image.info.get("icc_profile")
    try:
        if image.mode == "LAB":
            source, mode = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB"
        elif not isinstance(embedded, bytes) or not embedded:
            return None
        else:
            source = opened = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
            mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[opened.profile.xcolor_space.strip()]
            if (opened.profile.profile_description or "").startswith("sRGB") or not _fits(image.mode, mode):
                return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, LookupError, OSError, TypeError, ValueError):
        return None  # a damaged profile costs no good image

    def convert(strip: Image.Image) -> Image.Image:
        converted: Any = ImageCms.applyTransform(strip if strip.mode == mode else strip.convert(mode), transform)
        return converted if isinstance(converted, Image.Image) else strip.convert("RGB")

    return convert


def _fits(mode: str, space: str) -> bool:
    """Whether pixels of this mode are in the profile's colour space, a palette's and those with transparency too."""
    homes = {"RGB": ("RGB", "RGBA", "RGBX", "P", "PA"), "L": ("L", "LA", "1"), "CMYK": ("CMYK",)}
    return mode in homes[space]
