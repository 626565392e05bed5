"""Images as users have them (path, bytes, open file, PIL image) -> upright RGB images in sRGB."""

from __future__ import annotations

import base64
import io
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from os import PathLike
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from PIL import Image, UnidentifiedImageError

from crl_qdrant.common.colours import srgb, strips
from crl_qdrant.common.png import trim_png
from crl_qdrant.errors import ImageError

__all__ = [
    "FORMATS",
    "MAX_ASPECT",
    "MAX_PIXELS",
    "ImageInput",
    "as_source",
    "data_url",
    "decode",
    "decoded",
    "path_below",
    "update_digest",
]

MAX_ASPECT: Final = 200
"""Longer to shorter side above which a file is refused: scaled to a model's size it would take any amount of memory."""

MAX_PIXELS: Final = 100_000_000
"""Pixels (width x height) above which an image is refused undecoded. All threads together decode no more than this at
once, at 8 to 16 bytes a pixel: 1.6 GB at most."""

FORMATS: Final = ("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are read, those of them that it has (HEIF: with pillow-heif). All others are
refused: some start other programs (EPS: Ghostscript), and no shop has images in them."""

_PIECE: Final = 1 << 20

# Pillow's memory in blocks so large that the C library gives them back at once, and keeps none for each thread
Image.core.set_block_size(64 << 20)  # type: ignore[attr-defined]

_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


ImageInput: TypeAlias = "str | PathLike[str] | bytes | _Readable | Image.Image"


class _Budget:
    """Pixels that threads may decode at once; a thread waits until there is room for its image."""

    def __init__(self, pixels: int) -> None:
        self._left = self._all = pixels
        self._next = threading.Lock()  # whoever waits is next: a large image is not overtaken for ever
        self._freed = threading.Condition()
        self._holder = threading.local()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        if getattr(self._holder, "holds", False):  # waiting for itself, or for one that waits for it
            yield
            return
        pixels = min(pixels, self._all)
        with self._next, self._freed:
            self._freed.wait_for(lambda: self._left >= pixels)
            self._left -= pixels
        self._holder.holds = True
        try:
            yield
        finally:
            self._holder.holds = False
            with self._freed:
                self._left += pixels
                self._freed.notify_all()


_BUDGET: Final = _Budget(MAX_PIXELS)
_WARNINGS: Final = threading.Lock()  # warnings.catch_warnings is not safe in threads
_READING: Final = threading.Lock()  # an open file has one position, and may be given for several items


def decode(image: ImageInput, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image: RGB in sRGB, turned upright by its EXIF tag, transparency laid on white.

    Raises:
        ImageError: if there is no such file, it is not in one of `FORMATS`, truncated or without pixels; or if it
            has more than `max_pixels`.
    """
    with decoded(image, max_pixels=max_pixels) as picture:
        return picture


@contextmanager
def decoded(image: ImageInput, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Decode as `decode` does; while the context is open, the image counts among those that threads decode at once.

    Raises:
        ImageError: as `decode`.
    """
    name = _described(image)
    source = as_source(image)
    with _our_errors(name):
        opened, own = _open(source), not isinstance(source, Image.Image)
        pixels = _checked_size(opened, name, max_pixels)
    with opened if own else nullcontext(), _BUDGET.take(pixels):
        with _our_errors(name):
            try:
                picture = _upright_rgb(opened)
            except ValueError as error:
                if isinstance(source, Image.Image) or not _is_text_limit(error):
                    raise
                picture = _upright_rgb(_open_trimmed(source))  # texts after the pixels are read at last
            if picture is source:
                picture = picture.copy()  # the caller's own stays his
        yield picture


def update_digest(update: Callable[[bytes], object], image: ImageInput) -> None:
    """Hand what identifies an image's content to `update`: the file's bytes, or the size and pixels of a PIL image.

    Raises:
        ImageError: if there is no such file, or it cannot be read.
    """
    source = as_source(image)
    with _our_errors(_described(image), "read"):
        if isinstance(source, Image.Image):
            pixels = _checked_size(source, _described(image), MAX_PIXELS)
            update(f"{source.size}".encode())
            with _BUDGET.take(pixels):
                for _, strip in strips(source):
                    update(strip.convert("RGBA").tobytes())  # as colours: a palette is more than its indices
        elif isinstance(source, Path):
            with source.open("rb") as file:
                while piece := file.read(_PIECE):
                    update(piece)
        else:
            update(source)


def as_source(image: ImageInput) -> Path | bytes | Image.Image:
    """Return an image as a file's path, a file's content or a PIL image.

    Raises:
        ImageError: if there is no such file, or it is none of these.
    """
    if isinstance(image, Image.Image):
        if image.format in ("EPS", "WMF"):
            raise ImageError(f"the image is in format {image.format}, which starts other programs; convert it to PNG")
        return image
    if not isinstance(image, (str, PathLike)) and hasattr(image, "read"):
        image = _content(image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        if not image:
            raise ImageError("the image is empty: no bytes")
        return bytes(image)
    if not isinstance(image, (str, PathLike)):
        raise ImageError(
            f"an image must be a path, bytes, an open file or a PIL image, got {type(image).__name__}; "
            "PIL.Image.fromarray makes one of an array"
        )
    if isinstance(image, str) and image.lower().startswith(("http://", "https://")):
        raise ImageError(f"{image} is a URL; download it and pass its bytes")
    try:
        path = Path(image)
        if not path.is_file() and str(path).startswith("~"):
            path = path.expanduser()
        if path.is_file():
            return path
    except (OSError, TypeError, ValueError, RuntimeError) as error:  # no permission, or no possible name
        raise ImageError(f"image file {image} cannot be read: {error}") from error
    if path.is_dir():
        raise ImageError(f"{path} is a folder; name an image file in it")
    raise ImageError(f"there is no image file {path}")


def path_below(folder: str | PathLike[str], name: str | PathLike[str], *, outside: bool = False) -> Path:
    """Return the path of a file that a catalogue names, also where its letters are composed otherwise (NFC, NFD).

    Args:
        folder: the folder of the images.
        name: the file's path below it.
        outside: allow files outside the folder, by "..", an absolute path or a symbolic link.

    Raises:
        ImageError: if the file is outside the folder, and that is not allowed.
    """
    base = Path(folder)
    try:
        forms = dict.fromkeys([str(name), *(unicodedata.normalize(form, str(name)) for form in ("NFC", "NFD"))])
        path = next((base / form for form in forms if (base / form).is_file()), base / name)
        if outside or path.resolve().is_relative_to(base.resolve()):
            return path
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # RuntimeError: links in a circle
        raise ImageError(f"image file {str(name)!r} cannot be read: {error}") from error
    raise ImageError(f"image file {str(name)!r} is outside the folder {base}; allow it, or move it there")


def data_url(image: ImageInput, *, side: int) -> str:
    """Return the image for a page that holds its images: a JPEG within a square of `side` pixels, in a data URL.

    Raises:
        ImageError: as `decode`.
    """
    with decoded(image) as picture:
        picture.thumbnail((side, side))
        content = io.BytesIO()
        picture.save(content, format="jpeg", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


@contextmanager
def _our_errors(name: str, done: str = "decoded") -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large to be a picture: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image in a format that can be read") from error
    except Exception as error:  # decoders raise whatever they met: OSError, SyntaxError, RuntimeError, struct.error …
        raise ImageError(f"{name} cannot be {done}: {error or type(error).__name__}") from error


def _open(source: Path | bytes | Image.Image) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    try:
        return _open_file(source)
    except ValueError as error:
        if not _is_text_limit(error):
            raise
        return _open_trimmed(source)


def _is_text_limit(error: ValueError) -> bool:
    """Whether Pillow refuses a PNG for its texts or its profile: the message names its limit, MAX_TEXT_CHUNK or so."""
    return "MAX_TEXT" in str(error)


def _open_file(source: Path | bytes) -> Image.Image:
    Image.init()
    formats: list[str] = [each for each in FORMATS if each in Image.OPEN]
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the size is checked, and damaged tags cost nothing
        return Image.open(source if isinstance(source, Path) else io.BytesIO(source), formats=formats)


def _open_trimmed(source: Path | bytes) -> Image.Image:
    content, profile = trim_png(source.read_bytes() if isinstance(source, Path) else source)
    opened = _open_file(content)
    if profile is not None:
        opened.info["icc_profile"] = profile
    return opened


def _checked_size(image: Image.Image, name: str, max_pixels: int) -> int:
    width, height = image.size
    if width * height == 0:
        raise ImageError(f"{name} has no pixels: it is {width} x {height}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(f"{name} is {width} x {height}, too long and thin to be a picture of anything")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width} x {height}, more than {max_pixels:,} pixels; scale it down before adding it"
        )
    return width * height


def _upright_rgb(opened: Image.Image) -> Image.Image:
    opened.load()  # first, so that a broken image is not taken for a broken tag
    turn = _UPRIGHT.get(_orientation(opened))
    plain = opened.mode == "RGB" and not {"icc_profile", "transparency"} & opened.info.keys()
    picture = opened if plain else srgb(opened)
    return picture if turn is None else picture.transpose(turn)


def _orientation(image: Image.Image) -> Any:
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged tag says nothing of a good image, whatever its parser raises
        return 1
    return value if isinstance(value, int) else 1


def _content(file: _Readable) -> bytes:
    try:
        with _READING:
            if hasattr(file, "seek"):
                file.seek(0)
            content = file.read()
    except Exception as error:  # whatever kind of file it is
        raise ImageError(f"the open file cannot be read: {error}") from error
    if not isinstance(content, bytes):
        raise ImageError('the open file gives texts, not bytes; open it with mode "rb"')
    return content


def _described(image: object) -> str:
    if isinstance(image, (str, PathLike)):
        return f"image {image}"
    if hasattr(image, "read"):
        return "the image in an open file"
    return "the image given as bytes" if isinstance(image, (bytes, bytearray, memoryview)) else "the image"
