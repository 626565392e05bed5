"""GeneCIS' Combiner, its weights in the published form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import ColourEncoder, PublishedCombiner

from crl_qdrant import EncoderError
from crl_qdrant.demo.products import sample_products
from crl_qdrant.demo.render import render
from crl_qdrant.encoders import load_encoder
from crl_qdrant.encoders.open_clip import OpenClipEncoder
from crl_qdrant.evaluation.combiner import Combiner
from crl_qdrant.evaluation.similarity import GalleryQuery, predicted_ranks


@pytest.fixture(scope="module")
def network() -> PublishedCombiner:
    torch.manual_seed(5)
    return PublishedCombiner(128, 24, 40).eval()


@pytest.mark.parametrize("prefix", ["", "module."])
def test_queries_are_the_published_networks(network: PublishedCombiner, tmp_path: Path, prefix: str) -> None:
    torch.save({f"{prefix}{name}": each for name, each in network.state_dict().items()}, tmp_path / "head.pt")
    encoder = load_encoder("demo", device="cpu")
    assert isinstance(encoder, OpenClipEncoder)
    pictures = [render(product, size=64) for product in sample_products(3, seed=4)]
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for picture, file in zip(pictures, files, strict=True):
        picture.save(file)
    conditions = ["red", "a mug", "red", "blue"]
    found = Combiner(tmp_path / "head.pt", encoder).queries([files[2], *files], conditions)
    # embeddings of the model's own length, not of unit length
    image = encoder.encode_images([pictures[2], *pictures], unit=False)
    text = encoder.encode_texts(conditions, unit=False)
    assert not np.allclose(np.linalg.norm(image, axis=1), 1, atol=0.01)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(image), torch.from_numpy(text)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(
        encoder.encode_images(pictures), image[1:] / np.linalg.norm(image[1:], axis=1, keepdims=True), atol=1e-6
    )


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    encoder, path = load_encoder("demo", device="cpu"), tmp_path / "head.pt"
    with pytest.raises(EncoderError, match="cannot be read"):
        Combiner(path, encoder)
    for content in ({}, [1, 2]):
        torch.save(content, path)
        with pytest.raises(EncoderError, match=r"lacks text_projection_layer\.weight"):
            Combiner(path, encoder)
    torch.save(PublishedCombiner(64, 8, 8).state_dict(), path)
    with pytest.raises(EncoderError, match="embeddings of 64 dimensions; those of encoder 'demo' have 128"):
        Combiner(path, encoder)
    with pytest.raises(EncoderError, match="needs embeddings of an open_clip encoder"):
        Combiner(path, ColourEncoder())


def test_ranks_by_predictions_count_ties_against_the_target() -> None:
    images = np.eye(3, dtype=np.float32)
    queries = [GalleryQuery("x", 0, 1, (2, 0)), GalleryQuery("x", 0, 1, (2,))]
    predictions = np.array([[0.1, 0.9, 0.5], [0.0, 0.7, 0.7]], dtype=np.float32)
    assert predicted_ranks(queries, images, predictions) == [0, 1]
