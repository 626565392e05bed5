"""Decoding and embedding with an error for each image, wherever images are embedded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes import ColourEncoder, Newer, picture
from PIL import Image

from crl_qdrant import CRLCollection, EncoderError, ImageError
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.ingestion.pictures import ImageEmbedder


class FailsOnBlack(Newer):
    """Raises for a whole batch where one image in it is black."""

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
        if any(image.getpixel((0, 0)) == (0, 0, 0) for image in images):
            raise RuntimeError("black")
        return super().encode_images(images)


def embedder(encoder: Any) -> ImageEmbedder:
    bound = BoundEncoder("products", encoder.name, encoder.dimension, encoder=encoder, device="cpu")
    return ImageEmbedder(bound, encoder.dimension, purpose="embed images")


def test_an_image_that_fails_costs_no_other() -> None:
    images = embedder(FailsOnBlack())
    rows, failed = images.embed([picture("red"), picture("black"), picture("blue")])
    assert list(failed) == [1]
    assert "RuntimeError: black" in str(failed[1])
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0, 1])
    assert isinstance(images.attempt(lambda: images.prepare(b"no image")), ImageError)
    assert images.embed([])[0].shape == (0, 7)


def test_an_encoder_that_fails_at_everything_is_to_blame() -> None:
    images = embedder(FailsOnBlack())
    with pytest.raises(EncoderError, match="RuntimeError: black"):
        images.embed([picture("black")] * 2)
    images.embed([picture("red")])
    assert list(images.embed([picture("black")] * 2)[1]) == [0, 1]


def test_what_preprocess_gives_is_always_what_is_encoded(location: Any) -> None:
    class Odd(ColourEncoder):
        def preprocess(self, image: Image.Image) -> Any:
            return None if image.getpixel((0, 0)) == (0, 0, 0) else image

    products = CRLCollection.create("products", location=location, encoder=Odd())
    report = products.add([1, 2], [picture("black"), picture("red")])
    assert (report.written, [each.id for each in report.rejected]) == (1, [1])


def test_migrate_survives_an_image_at_which_the_encoder_raises(location: Any) -> None:
    colours = ["red", "black", "blue"]
    products = CRLCollection.create("products", location=location, encoder=ColourEncoder())
    products.add([1, 2, 3], [picture(each) for each in colours], payloads=[{"colour": each} for each in colours])
    done = products.migrate(FailsOnBlack(), lambda point, payload: picture(payload["colour"]), on_error="skip")
    assert (done.done, done.left, [each.id for each in done.rejected]) == (True, 1, [2])
    assert "RuntimeError: black" in str(done.rejected[0])
    assert [hit.id for hit in products.search(picture("red"))] == [1, 3]
