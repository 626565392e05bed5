"""Embeddings of image files: kept, gone on with, and honest about files that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from fakes import ColourEncoder, picture, unit
from PIL import Image

from crl_qdrant.errors import DatasetError, EncoderError, StoreError
from crl_qdrant.evaluation.embed import embed_images


class Counting(ColourEncoder):
    """Counts the pictures it is shown, and can be stopped after some."""

    def __init__(self, stop_after: int = 1000) -> None:
        self.seen = 0
        self.stop_after = stop_after

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
        if self.seen >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(images)
        return super().encode_images(images)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for number, path in enumerate(paths):
        picture((40 * number, 255 - 30 * number, 7)).save(path)
    return paths


def test_embedded_once_and_the_same_again(images: list[Path], tmp_path: Path) -> None:
    encoder = Counting()
    first = embed_images(images, encoder, tmp_path / "out", batch_size=3)
    assert first == pytest.approx(unit(encoder.encode_images([Image.open(path) for path in images])), abs=1e-6)
    assert (first.dtype, encoder.seen) == (np.float32, 14)
    assert np.array_equal(embed_images(images, encoder, tmp_path / "out"), first)
    assert encoder.seen == 14
    assert np.array_equal(embed_images(images[::-1], encoder, tmp_path / "out"), first[::-1])
    assert encoder.seen == 21  # another list of files is another key


def test_a_run_that_was_stopped_goes_on(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        embed_images(images, Counting(stop_after=4), tmp_path / "out", batch_size=2)
    rest = Counting()
    found = embed_images(images, rest, tmp_path / "out", batch_size=2)
    assert rest.seen == 3
    assert np.array_equal(found, embed_images(images, Counting(), tmp_path / "fresh"))


def test_a_file_that_was_cut_short_is_made_again(images: list[Path], tmp_path: Path) -> None:
    found = embed_images(images, Counting(), tmp_path / "out")
    kept = next((tmp_path / "out").iterdir())
    kept.write_bytes(kept.read_bytes()[:90])
    assert np.array_equal(embed_images(images, Counting(), tmp_path / "out"), found)


def test_broken_images_are_named_and_the_others_kept(images: list[Path], tmp_path: Path) -> None:
    whole = images[2].read_bytes()
    images[2].write_bytes(whole[:40])
    images[5].write_text("not a picture")
    encoder = Counting()
    with pytest.raises(DatasetError, match=r"2 of 7 images cannot be embedded: .*2\.png .*5\.png is not an image"):
        embed_images(images, encoder, tmp_path / "out")
    assert encoder.seen == 5
    images[2].write_bytes(whole)
    images[5].write_bytes(whole)
    assert embed_images(images, encoder, tmp_path / "out").any(axis=1).all()
    assert encoder.seen == 7


def test_an_image_at_which_the_encoder_raises_does_not_cost_the_others(images: list[Path], tmp_path: Path) -> None:
    class Choosy(ColourEncoder):
        def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
            if any(image.getpixel((0, 0)) == (80, 195, 7) for image in images):
                raise ValueError("not this one")
            return super().encode_images(images)

    with pytest.raises(DatasetError, match=r"1 of 7 images cannot be embedded: image .*2\.png: .*not this one"):
        embed_images(images, Choosy(), tmp_path / "out")
    rest = Counting()
    assert embed_images(images, rest, tmp_path / "out").any(axis=1).all()
    assert rest.seen == 1

    class Failing(ColourEncoder):
        def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
            raise ValueError("out of order")

    with pytest.raises(EncoderError, match="out of order"):
        embed_images(images, Failing(), tmp_path / "other")


def test_what_an_encoder_gives_is_checked(images: list[Path], tmp_path: Path) -> None:
    class Broken(ColourEncoder):
        def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
            return np.full((len(images), 4), np.nan)

    with pytest.raises(DatasetError, match=r"7 of 7 images cannot be embedded: image .*0\.png: .*NaN"):
        embed_images(images, Broken(), tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be kept"):
        embed_images(images, ColourEncoder(), tmp_path / "file")
