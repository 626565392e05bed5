"""open_clip encoders: the demo weights, a checkpoint file, and real architectures with random weights."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from fakes import picture
from PIL import Image

from crl_qdrant import CRLCollection, Encoder, EncoderError, InputError
from crl_qdrant.common.device import choose_device
from crl_qdrant.demo.products import ATTRIBUTES, sample_products
from crl_qdrant.demo.render import render
from crl_qdrant.encoders import load_encoder
from crl_qdrant.encoders.open_clip import OpenClipEncoder

MODEL = Path(open_clip.__file__).parent  # its model zoo's configurations lie there


@pytest.fixture(scope="module")
def demo() -> OpenClipEncoder:
    encoder = load_encoder("demo", device="cpu")
    assert isinstance(encoder, OpenClipEncoder)
    return encoder


def test_demo_is_an_encoder_and_small(demo: OpenClipEncoder) -> None:
    assert isinstance(demo, Encoder)
    assert (demo.name, demo.dimension) == ("demo", 128)
    import crl_qdrant.demo

    weights = Path(str(crl_qdrant.demo.__file__)).parent / "model" / "open_clip_model.safetensors"
    assert weights.stat().st_size <= 16_000_000


def test_demo_tells_what_it_sees(demo: OpenClipEncoder) -> None:
    products = sample_products(60, seed=99)
    images = demo.encode_images([render(product) for product in products])
    for name, values in ATTRIBUTES.items():
        texts = demo.encode_texts([f"something {value}" for value in values])
        best = [list(values)[row] for row in (images @ texts.T).argmax(axis=1)]
        right = sum(guess == product.attributes()[name] for guess, product in zip(best, products, strict=True))
        assert right >= 48, name  # chance is 6 to 15


def test_batches_and_sizes_of_images_make_no_difference(demo: OpenClipEncoder) -> None:
    images = [picture("red", (30, 90)), picture("blue", (64, 64)), *(render(p) for p in sample_products(5, seed=1))]
    together = demo.encode_images(images)
    one_by_one = OpenClipEncoder(f"local-dir:{_demo_folder()}", batch_size=1, device="cpu").encode_images(images)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.allclose(together, one_by_one, atol=1e-5)
    assert demo.encode_images([]).shape == demo.encode_texts([]).shape == (0, 128)


def _demo_folder() -> Path:
    import crl_qdrant.demo

    return Path(str(crl_qdrant.demo.__file__)).parent / "model"


@pytest.mark.parametrize("model", ["ViT-S-32-alt", "RN50"])
def test_a_checkpoint_of_a_real_architecture_is_loaded(model: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = open_clip.create_model(model).eval()
    path = tmp_path / "weights.pt"
    torch.save(made.state_dict(), path)
    encoder = load_encoder(f"open_clip:{model}/{path}", device="cpu")
    assert encoder.name == f"open_clip:{model}/{path}"
    found = encoder.encode_images([picture("red", (40, 60)), Image.effect_noise((300, 200), 90).convert("RGB")])
    with torch.inference_mode():
        preprocess = open_clip.image_transform(made.visual.image_size, is_train=False)
        pixels = torch.stack([preprocess(picture("red", (40, 60)))])
        expected = made.encode_image(pixels, normalize=True).numpy()
    assert found.shape == (2, encoder.dimension)
    assert np.allclose(found[0], expected[0], atol=1e-4)
    assert encoder.encode_texts(["a", "b", "c"]).shape == (3, encoder.dimension)


def test_a_checkpoint_of_a_training_run_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = open_clip.create_model("ViT-S-32-alt").eval()
    # as fine-tuned weights are published (GeneCIS): from several GPUs, in half precision, among other things
    weights = {f"module.{name}": weight.half() for name, weight in made.state_dict().items()}
    torch.save(weights, tmp_path / "bare.pt")
    torch.save({"epoch": 3, "state_dict": weights, "optimizer": {"step": 7}}, tmp_path / "whole.pt")
    with torch.inference_mode():
        preprocess = open_clip.image_transform(made.visual.image_size, is_train=False)
        expected = made.encode_image(preprocess(picture("red"))[None], normalize=True).numpy()
    for name in ("bare.pt", "whole.pt"):
        encoder = load_encoder(f"open_clip:ViT-S-32-alt/{tmp_path / name}", device="cpu")
        assert np.allclose(encoder.encode_images([picture("red")]), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("ViT-B-33/openai", "did you mean ViT-B-32"),
        ("ViT-B-32", "names no weights"),
        ("ViT-B-32/no-such-tag", "neither a pretrained tag of ViT-B-32 nor a file"),
        ("local-dir:/nowhere", "cannot load encoder"),
    ],
)
def test_what_cannot_be_loaded(source: str, complaint: str) -> None:
    with pytest.raises(EncoderError, match=complaint):
        load_encoder(f"open_clip:{source}")


def test_a_checkpoint_of_another_model_is_an_error_of_ours(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(EncoderError, match="cannot load encoder"):
        load_encoder(f"open_clip:ViT-B-32/{tmp_path / 'other.pt'}")


def test_the_encoder_comes_back_with_the_collection(tmp_path: Path) -> None:
    with CRLCollection.create("products", location=tmp_path, encoder="demo", device="cpu") as products:
        products.add(ids=[1, 2], images=[render(product) for product in sample_products(2, seed=5)])
    with CRLCollection.open("products", location=tmp_path) as products:
        assert products.search(render(sample_products(2, seed=5)[1]), limit=1)[0].id == 2


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for device in ("gpu", "meta", "cuda:99"):
        with pytest.raises(InputError, match="device"):
            choose_device(device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_the_same_in_half_precision(demo: OpenClipEncoder) -> None:
    images = [render(product) for product in sample_products(32, seed=3)]
    on_gpu = load_encoder("demo", device="cuda").encode_images(images)
    assert on_gpu.dtype == np.float32
    assert (on_gpu * demo.encode_images(images)).sum(axis=1).min() > 0.999


def test_a_folder_without_weights_is_no_encoder(tmp_path: Path) -> None:
    config = files("crl_qdrant.demo") / "model" / "open_clip_config.json"
    (tmp_path / "open_clip_config.json").write_text(config.read_text())
    with pytest.raises(EncoderError, match="cannot load encoder"):
        load_encoder(f"open_clip:local-dir:{tmp_path}", device="cpu")


def test_a_relative_path_is_the_same_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(str(files("crl_qdrant.demo") / "model"), tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    name = "open_clip:local-dir:model"
    CRLCollection.create("shop", location="data", encoder=name, device="cpu").close()
    with CRLCollection.open("shop", location="data", encoder=name, device="cpu") as shop:
        assert shop.info().encoder == f"open_clip:local-dir:{tmp_path / 'model'}"
