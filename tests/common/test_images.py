from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import threading
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import features, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from crl_qdrant import ImageError
from crl_qdrant.common.images import decode, decoded, MAX_PIXELS, path_below, update_digest


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
        "a path, bytes, an open file or a PIL image, got int": 7,
        "open it with mode": io.StringIO("text"),
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


def digest(image: Any) -> str:
    content = hashlib.sha256()
    update_digest(content.update, image)
    return content.hexdigest()


def test_content_identifies_a_picture(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (2, 2), "red"), Image.new("RGB", (2, 2), "blue")
    assert digest(first) == digest(first.copy()) != digest(second)
    noise = Image.effect_noise((1500, 1500), 50).convert("P")  # several strips; stored digests are of the whole
    whole = f"{noise.size}".encode() + noise.convert("RGBA").tobytes()
    assert digest(noise) == hashlib.sha256(whole).hexdigest()
    path = tmp_path / "a.png"
    path.write_bytes(encoded(first))
    with path.open("rb") as file:
        assert digest(path) == digest(path.read_bytes()) == digest(file) == digest(file)
    with pytest.raises(ImageError, match="no image file"):
        digest(tmp_path / "missing.png")


def test_a_damaged_tag_costs_no_picture(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "png", exif=b"Exif\0\0MM\0*\0\0\0")
    assert decode(buffer.getvalue()).getpixel((0, 0)) == (255, 0, 0)
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "webp", exif=b"garbage", lossless=True)
    assert decode(buffer.getvalue()).getpixel((0, 0)) == (255, 0, 0)


def test_open_files_are_images_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.new("RGB", (5, 3), "red")))
    buffer = io.BytesIO(path.read_bytes())
    buffer.seek(0, io.SEEK_END)  # as after writing
    with path.open("rb") as file:
        for given in (buffer, file, buffer, bytearray(path.read_bytes()), memoryview(path.read_bytes())):
            assert decode(given).size == (5, 3)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="the open file cannot be read"):
        decode(file)


def levels(mode: str, values: list[float]) -> Image.Image:
    kind = {"F": np.float32, "I": np.int32, "I;16": np.uint16}[mode]
    return Image.fromarray(np.array([values] * 2, dtype=kind))


@pytest.mark.parametrize(
    ("image", "greys"),
    [
        (levels("F", [0, 0.25, 0.5, 1]), [0, 64, 128, 255]),
        (levels("F", [0, 63.6, 128, 255]), [0, 64, 128, 255]),
        (levels("F", [0, 32896, 65535]), [0, 128, 255]),
        (levels("I", [0, 64, 128, 255]), [0, 64, 128, 255]),
        (levels("I", [0, 16384, 32896, 65535]), [0, 64, 128, 255]),
        (levels("I;16", [0, 255, 32896, 65535]), [0, 1, 128, 255]),
    ],
)
def test_deep_greys_keep_their_range(image: Image.Image, greys: list[int]) -> None:
    for given in (image, encoded(image, format="tiff")):
        found = np.asarray(decode(given))
        assert found[0, :, 0].tolist() == greys
        assert (found == found[:, :, :1]).all()


@pytest.mark.parametrize("values", [[-1, 1], [0, float("nan")], [0, 70_000], [0, float("inf")]])
def test_greys_of_no_known_range_are_refused(values: list[float]) -> None:
    with pytest.raises(ImageError, match=r"scale them to 0\.\.255"):
        decode(levels("F", values))


def profile_of(primaries: list[float], gamma: float) -> bytes:
    """A minimal ICC profile: D50 primaries (columns of X, Y, Z) and one gamma."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"made\0" + bytes(80), b"cprt": b"text\0\0\0\0none\0"}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + b"".join(map(number, (0.9642, 1.0, 0.8249)))
    for at, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ")):
        tags[name] = b"XYZ \0\0\0\0" + b"".join(map(number, primaries[3 * at : 3 * at + 3]))
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        tags[name] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    table, data, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(data), len(content))
        data += padded
    header = struct.pack(">I4sI4s4s4s", at + len(data), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + b"".join(map(number, (0.9642, 1.0, 0.8249)))
    return header.ljust(128, b"\0") + table + data


ADOBE = profile_of([0.60974, 0.31111, 0.01947, 0.20528, 0.62567, 0.06087, 0.14919, 0.06322, 0.74457], 563 / 256)


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
def test_colours_of_a_profile_become_srgb(kind: str) -> None:
    image = Image.new("RGB", (64, 64), (83, 139, 68))  # sRGB (30, 140, 60) in Adobe RGB
    options = {"lossless": True} if kind == "webp" else {"quality": 100} if kind == "jpeg" else {}
    given = encoded(image, format=kind, icc_profile=ADOBE, **options)
    assert np.abs(np.asarray(decode(given), dtype=int)[32, 32] - (30, 140, 60)).max() <= 3
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode(encoded(image, icc_profile=srgb)).getpixel((0, 0)) == (83, 139, 68)
    for damaged in (b"no profile", ADOBE[:200], ADOBE[:16] + b"CMYK" + ADOBE[20:]):
        assert decode(encoded(image, icc_profile=damaged)).getpixel((0, 0)) == (83, 139, 68)


def test_a_profile_and_transparency_together() -> None:
    image = Image.new("RGBA", (2, 1), (83, 139, 68, 255))
    image.putpixel((1, 0), (83, 139, 68, 0))
    found = decode(encoded(image, icc_profile=ADOBE))
    assert found.getpixel((1, 0)) == (255, 255, 255)
    assert np.abs(np.subtract(found.getpixel((0, 0)), (30, 140, 60))).max() <= 3


def test_large_texts_and_profiles_in_a_png_cost_nothing() -> None:
    image = Image.new("RGB", (8, 4), (83, 139, 68))
    texts = PngInfo()
    for number in range(3):
        texts.add_text(f"note{number}", "x" * 3_000_000, zip=True)
        texts.add_itxt(f"more{number}", "y" * 3_000_000, zip=True)
    assert decode(encoded(image, pnginfo=texts)).getpixel((0, 0)) == (83, 139, 68)
    large = ADOBE + bytes(2 << 20)
    large = struct.pack(">I", len(large)) + large[4:]
    assert np.abs(np.subtract(decode(encoded(image, icc_profile=large)).getpixel((0, 0)), (30, 140, 60))).max() <= 3
    after = encoded(image)  # a text after the pixels
    bomb = b"zTXt" + b"k\0\0" + zlib.compress(bytes(5_000_000))
    chunk = struct.pack(">I", len(bomb) - 4) + bomb + struct.pack(">I", zlib.crc32(bomb))
    assert decode(after[:-12] + chunk + after[-12:]).getpixel((0, 0)) == (83, 139, 68)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(image, pnginfo=texts, exif=exif)).size == (4, 8)


def test_only_named_formats_are_opened(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), "red")
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm", "jpeg2000"):
        assert decode(encoded(image, format=kind)).size == (8, 8)
    for kind in ("eps", "pcx", "sgi", "tga"):
        path = tmp_path / "a.jpg"
        path.write_bytes(encoded(image, format=kind))
        with pytest.raises(ImageError, match=r"a\.jpg is not an image in a format that can be read"):
            decode(path)
    path.write_bytes(encoded(image, format="eps"))
    with Image.open(path) as opened, pytest.raises(ImageError, match="format EPS, which starts other programs"):
        decode(opened)


@pytest.mark.parametrize("kind", ["avif", "png", "jpeg", "tiff", "webp", "gif", "jpeg2000", "bmp"])
def test_damage_anywhere_is_an_error_of_ours(kind: str) -> None:
    if kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    whole = encoded(Image.effect_noise((40, 40), 90).convert("RGB"), format=kind)
    rng = np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(damaged), size=4):
            damaged[at] = rng.integers(0, 256)
        with contextlib.suppress(ImageError):
            decode(bytes(damaged))


def test_decoders_share_one_budget() -> None:
    """While an image of more than half the budget is held, another such one waits; what its holder decodes does not."""
    image = Image.new("1", (10_000, MAX_PIXELS // 2 // 10_000 + 1))
    order: list[str] = []
    begun = threading.Event()

    def other() -> None:
        begun.set()
        with decoded(image):
            order.append("other")

    thread = threading.Thread(target=other)
    with decoded(image):
        thread.start()
        begun.wait()
        decode(image)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_paths_below_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "in").mkdir(parents=True)
    secret = tmp_path / "secret.png"
    for path in (secret, folder / "in" / "a.png", folder / unicodedata.normalize("NFD", "Röcke.png")):
        path.write_bytes(encoded(Image.new("RGB", (2, 2))))
    (folder / "link.png").symlink_to(secret)
    (folder / "inner.png").symlink_to(folder / "in" / "a.png")
    (folder / "up").symlink_to(tmp_path)
    for name in ("in/a.png", "in/../in/a.png", "inner.png", str(folder / "in/a.png"), "Röcke.png", "missing.png"):
        assert path_below(folder, name).resolve().is_relative_to(folder)
    assert path_below(folder, unicodedata.normalize("NFC", "Röcke.png")).is_file()
    for name in ("../secret.png", str(secret), "link.png", "up/secret.png", "../missing.png", "/etc/passwd"):
        with pytest.raises(ImageError, match="is outside the folder"):
            path_below(folder, name)
        assert path_below(folder, name, outside=True)
    with pytest.raises(ImageError, match="cannot be read"):
        path_below(folder, "a\0b")


def test_a_path_below_the_home_folder_and_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.new("RGB", (2, 2), (200, 0, 0)).save(tmp_path / "red.png")
    assert decode("~/red.png").getpixel((0, 0)) == (200, 0, 0)
    with pytest.raises(ImageError, match="is a folder; name an image file in it"):
        decode(tmp_path)
    with pytest.raises(ImageError, match="there is no image file"):
        decode("~/gone.png")
