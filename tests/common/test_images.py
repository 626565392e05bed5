from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crl_qdrant import ImageError
from crl_qdrant.common.images import decode, read_bytes


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "png", **options})  # type: ignore[arg-type]
    return buffer.getvalue()


def test_path_bytes_and_image_are_the_same_picture(tmp_path: Path) -> None:
    image = Image.new("RGB", (5, 3), (10, 200, 30))
    path = tmp_path / "a.png"
    path.write_bytes(encoded(image))
    for given in (path, str(path), path.read_bytes(), image):
        found = decode(given)
        assert found.mode == "RGB"
        assert found.size == (5, 3)
        assert found.getpixel((0, 0)) == (10, 200, 30)


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (Image.new("L", (2, 2), 77), (77, 77, 77)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("LA", (2, 2), (0, 0)), (255, 255, 255)),
        (Image.new("CMYK", (2, 2), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.fromarray(np.full((2, 2), 32896, dtype=np.uint16)), (128, 128, 128)),
    ],
    ids=["grey", "transparent", "grey and transparent", "cmyk", "bilevel", "16 bit"],
)
def test_every_mode_becomes_rgb(image: Image.Image, pixel: tuple[int, int, int]) -> None:
    assert decode(image).getpixel((0, 0)) == pixel


def test_a_phone_picture_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    assert decode(encoded(Image.new("RGB", (4, 2)), format="jpeg", exif=exif)).size == (2, 4)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    whole = encoded(Image.effect_noise((64, 64), 50))
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    cases = {
        "no image file": tmp_path / "missing.jpg",
        "text.jpg is not an image": tmp_path / "text.jpg",
        "empty.jpg is not an image": tmp_path / "empty.jpg",
        "no bytes": b"",
        "cannot be decoded": whole[: len(whole) // 2],
        "no pixels": Image.new("RGB", (0, 5)),
        "too long and thin": Image.new("RGB", (1, 201)),
        "is a URL": "https://example.com/a.jpg",
        "a path, bytes or a PIL image, got int": 7,
    }
    for complaint, image in cases.items():
        with pytest.raises(ImageError, match=complaint):
            decode(image)  # type: ignore[arg-type]


def test_an_absurdly_large_image_is_refused_undecoded() -> None:
    bomb = encoded(Image.new("1", (40_000, 40_000)))
    with pytest.raises(ImageError, match=r"too large|more than"):
        decode(bomb)
    with pytest.raises(ImageError, match="10 x 10, more than 99 pixels"):
        decode(Image.new("RGB", (10, 10)), max_pixels=99)


def test_content_identifies_a_picture(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (2, 2), "red"), Image.new("RGB", (2, 2), "blue")
    assert read_bytes(first) == read_bytes(first.copy()) != read_bytes(second)
    path = tmp_path / "a.png"
    path.write_bytes(encoded(first))
    assert read_bytes(path) == read_bytes(path.read_bytes())
    with pytest.raises(ImageError, match="no image file"):
        read_bytes(tmp_path / "missing.png")


def test_a_damaged_tag_costs_no_picture(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "png", exif=b"Exif\0\0MM\0*\0\0\0")
    assert decode(buffer.getvalue()).getpixel((0, 0)) == (255, 0, 0)
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "webp", exif=b"garbage", lossless=True)
    assert decode(buffer.getvalue()).getpixel((0, 0)) == (255, 0, 0)
