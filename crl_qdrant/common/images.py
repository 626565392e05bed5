"""Pictures as users have them (path, bytes, PIL image) -> upright RGB images."""

from __future__ import annotations

import base64
import io
import struct
import warnings
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Final, TypeAlias

from PIL import Image, ImageOps, UnidentifiedImageError

from crl_qdrant.errors import ImageError

__all__ = ["MAX_ASPECT", "MAX_PIXELS", "ImageInput", "data_url", "decode", "read_bytes"]

MAX_ASPECT: Final = 200
"""Longer to shorter side above which a file is refused: scaled to a model's size it would take any amount of memory."""

ImageInput: TypeAlias = "str | PathLike[str] | bytes | Image.Image"

MAX_PIXELS: Final = 100_000_000
"""Pixels (width x height) above which a file is refused undecoded: 100 megapixels are 300 MB in memory."""


def decode(image: ImageInput, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The image in RGB, turned upright by its EXIF tag, transparency laid on white.

    Raises:
        ImageError: no such file, not an image, truncated, without pixels, or above `max_pixels`.
    """
    name = _described(image)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked below
            warnings.filterwarnings("ignore", message=".*EXIF", category=UserWarning)
            opened = image if isinstance(image, Image.Image) else Image.open(_source(image))
        # a file is closed at once, read or not; an image of the caller's stays as it is
        with nullcontext() if opened is image else opened:
            width, height = opened.size
            if width * height == 0:
                raise ImageError(f"{name} has no pixels: it is {width} x {height}")
            if max(width, height) > MAX_ASPECT * min(width, height):
                raise ImageError(f"{name} is {width} x {height}, too long and thin to be a picture of anything")
            if width * height > max_pixels:
                raise ImageError(
                    f"{name} is {width} x {height}, more than {max_pixels:,} pixels; scale it down before adding it"
                )
            opened.load()  # first, so that a broken picture is not taken for a broken tag
            return _rgb(_upright(opened))
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large to be a picture: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image in a format that can be read") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, ImageError):
            raise
        # Pillow reports broken files with whatever its decoder met: OSError for truncation, SyntaxError for PNG
        raise ImageError(f"{name} cannot be decoded: {error}") from error


def read_bytes(image: ImageInput) -> bytes:
    """What identifies the picture's content: the file's bytes, or the pixels of an image in memory.

    Raises:
        ImageError: no such file, or not an image.
    """
    source = image if isinstance(image, Image.Image) else _source(image)
    try:
        if isinstance(source, Image.Image):
            # as colours: an image with a palette is more than its indices
            return f"{source.size}".encode() + source.convert("RGBA").tobytes()
        return source.getvalue() if isinstance(source, io.BytesIO) else source.read_bytes()
    except (OSError, ValueError) as error:
        raise ImageError(f"{_described(image)} cannot be read: {error}") from error


def _source(image: str | PathLike[str] | bytes) -> Path | io.BytesIO:
    if isinstance(image, (bytes, bytearray, memoryview)):
        if not image:
            raise ImageError("the image is empty: no bytes")
        return io.BytesIO(image)
    if not isinstance(image, (str, PathLike)):
        raise ImageError(
            f"an image is a path, bytes or a PIL image, got {type(image).__name__}; "
            "PIL.Image.fromarray makes one of an array"
        )
    if isinstance(image, str) and image.lower().startswith(("http://", "https://")):
        raise ImageError(f"{image} is a URL; download it and pass its bytes")
    path = Path(image)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError) as error:  # no permission, or no possible name
        raise ImageError(f"image file {path} cannot be read: {error}") from error
    raise ImageError(f"there is no image file {path}")


def _described(image: object) -> str:
    if isinstance(image, (str, PathLike)):
        return f"image {image}"
    return "the image given as bytes" if isinstance(image, (bytes, bytearray, memoryview)) else "the image"


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (struct.error, SyntaxError, ValueError, TypeError, LookupError, OSError):
        return image  # what a damaged tag says of a good picture is nothing


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # 16-bit grey: Pillow's own conversion clips instead of scaling
        image = image.convert("I").point(lambda value: value / 257).convert("L")
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        cut_out = image.convert("RGBA")
        image = Image.new("RGBA", cut_out.size, "white")
        image.alpha_composite(cut_out)
    return image.convert("RGB")


def data_url(image: ImageInput, *, side: int) -> str:
    """The image for a page that holds its pictures: made to fit a square of `side` pixels, as a JPEG in a data URL.

    Raises:
        ImageError: as `decode`.
    """
    picture = decode(image)
    picture.thumbnail((side, side))
    content = io.BytesIO()
    picture.save(content, format="jpeg", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
