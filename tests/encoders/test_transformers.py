"""Encoders from transformers: every architecture, small and with random weights, from a folder like the hub's."""

from __future__ import annotations

import string
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from fakes import picture
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers, processors, Tokenizer
from tokenizers.models import WordLevel

from crl_qdrant import Criterion, CRLCollection, Encoder, EncoderError, MissingPackageError
from crl_qdrant.encoders import load_encoder
from crl_qdrant.encoders.architectures import ARCHITECTURES
from crl_qdrant.encoders.transformers import _model, TransformersEncoder

SIDE = 32  # of the small models' pictures
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TOWER, "image_size": SIDE, "patch_size": 8}
HALVES = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


@dataclass(frozen=True)
class Small:
    """A small model, and what its texts must come to: a text here is letters with spaces between."""

    model: Any
    tokenizer: Any
    image_processor: Any
    dimension: int
    tokens: Callable[[str], list[int]]

    def save(self, folder: Path) -> None:
        for part in (self.model, self.tokenizer, self.image_processor):
            part.save_pretrained(folder)


def vocabulary(*special: str, suffix: str = "") -> dict[str, int]:
    return {token: number for number, token in enumerate([*special, *(c + suffix for c in string.ascii_letters + "▁")])}


def clip() -> Small:
    ids = vocabulary("<|startoftext|>", "<|endoftext|>", suffix="</w>")
    text = {**TOWER, "vocab_size": len(ids), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    return Small(
        transformers.CLIPModel(config),
        transformers.CLIPTokenizer(vocab=ids, merges=[]),
        transformers.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}),
        24,
        lambda text: [0, *[ids[f"{letter}</w>"] for letter in text.split()][:75], 1],
    )


def siglip_model(vocab_size: int) -> Any:
    text = {**TOWER, "vocab_size": vocab_size, "max_position_embeddings": 64}
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=VISION))


def siglip() -> Small:
    ids = vocabulary("<unk>", "</s>")
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return Small(
        siglip_model(len(ids)),
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>", pad_token="</s>"
        ),
        transformers.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}),
        32,
        lambda text: ([ids[letter] for letter in text.split()][:63] + [1] * 64)[:64],
    )


def siglip2() -> Small:
    ids = vocabulary("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    return Small(
        siglip_model(len(ids)),
        transformers.GemmaTokenizer(vocab=ids, merges=[], add_bos_token=False, add_eos_token=True),
        transformers.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}),
        32,
        lambda text: ([ids[letter] for letter in text.replace(" ", "▁")][:63] + [1] + [0] * 64)[:64],
    )


def bert_tokenizer() -> tuple[Any, Callable[[int], Callable[[str], list[int]]]]:
    ids = vocabulary("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokenizer = transformers.BertTokenizer(vocab=ids)
    return tokenizer, lambda most: lambda text: [2, *[ids[letter] for letter in text.split()][: most - 2], 3]


def align() -> Small:
    tokenizer, tokens = bert_tokenizer()
    config = transformers.AlignConfig(
        text_config={**TOWER, "vocab_size": len(tokenizer)},
        vision_config={"image_size": SIDE, "width_coefficient": 0.25, "depth_coefficient": 0.3},
        projection_dim=80,
    )
    image_processor = transformers.EfficientNetImageProcessorPil(  # kakaobrain/align-base's settings, made small
        size={"height": SIDE + 7, "width": SIDE + 7},
        crop_size={"height": SIDE, "width": SIDE},
        do_center_crop=True,
        do_normalize=False,
        include_top=False,
        resample=Image.Resampling.BILINEAR,
        rescale_factor=1 / 127.5,
        rescale_offset=True,
    )
    return Small(transformers.AlignModel(config), tokenizer, image_processor, 80, tokens(64))


def blip2() -> Small:
    tokenizer, tokens = bert_tokenizer()
    config = transformers.Blip2Config(
        vision_config=VISION,
        qformer_config={**TOWER, "vocab_size": len(tokenizer), "use_qformer_text_input": True},
        text_config={"model_type": "opt"},
        num_query_tokens=5,
        image_text_hidden_size=16,
    )
    image_processor = transformers.BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    return Small(transformers.Blip2ForImageTextRetrieval(config), tokenizer, image_processor, 16, tokens(32))


SMALL = {made.__name__: made for made in (clip, siglip, siglip2, align, blip2)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in SMALL}


@pytest.fixture(scope="module", params=SMALL)
def small(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[Small, TransformersEncoder]:
    torch.manual_seed(0)
    made = SMALL[request.param]()
    with torch.no_grad():
        for parameter in made.model.parameters():
            if parameter.ndim > 1:  # some start at zero, where every picture looks the same
                parameter.normal_(std=0.3)
    made.model.eval()
    made.save(folders[request.param])
    encoder = load_encoder(f"transformers:{folders[request.param]}", device="cpu")
    assert isinstance(encoder, TransformersEncoder)
    return made, encoder


def pictures() -> list[Image.Image]:
    noise = np.random.default_rng(0).integers(0, 256, size=(70, 100, 3), dtype=np.uint8)
    return [Image.fromarray(noise), picture("red", (40, 60)), picture("blue", (500, 31)), picture("white", (1, 1))]


def test_it_is_an_encoder(small: tuple[Small, TransformersEncoder], folders: dict[str, Path]) -> None:
    made, encoder = small
    assert isinstance(encoder, Encoder)
    assert encoder.dimension == made.dimension
    assert encoder.name in {f"transformers:{folder}" for folder in folders.values()}
    for rows, count in ((encoder.encode_images(pictures()), 4), (encoder.encode_texts(["a", "b c", "a c"]), 3)):
        assert rows.shape == (count, made.dimension)
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        assert (rows @ rows.T)[~np.eye(count, dtype=bool)].max() < 0.9999
    assert encoder.encode_images([]).shape == encoder.encode_texts([]).shape == (0, made.dimension)


def test_batches_make_no_difference(small: tuple[Small, TransformersEncoder]) -> None:
    _, encoder = small
    texts = ["a", "b c d e f g", " ".join("h" * 100), ""]
    images, words = encoder.encode_images(pictures()), encoder.encode_texts(texts)
    assert np.array_equal(encoder.encode_images(pictures()), images)
    assert np.allclose(encoder.encode_images([encoder.preprocess(image) for image in pictures()]), images, atol=1e-5)
    one_by_one = TransformersEncoder(encoder.name.partition(":")[2], device="cpu", batch_size=1)
    assert np.allclose(one_by_one.encode_images(pictures()), images, atol=1e-5)
    assert np.allclose(one_by_one.encode_texts(texts), words, atol=1e-5)


def test_it_agrees_with_the_model_itself(small: tuple[Small, TransformersEncoder]) -> None:
    made, encoder = small
    for text in ("a", "c a b", " ".join(string.ascii_lowercase * 8)):  # the last is longer than any model's limit
        inputs = {"input_ids": torch.tensor([made.tokens(text)])}
        if made.model.config.model_type != "siglip":
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        pixels = torch.stack([encoder.preprocess(image) for image in pictures()])
        with torch.inference_mode():
            whole = made.model(pixel_values=pixels, **inputs)
        found = encoder.encode_texts([text])
        assert np.allclose(found[0], whole.text_embeds[0].numpy(), atol=1e-5), text
        assert np.array_equal(encoder.encode_texts([text.upper()]), found)
        images = whole.image_embeds.numpy()
        if images.ndim == 3:  # BLIP-2: one row for each of an image's queries
            assert np.abs(images[:, 0] - images[:, 1]).max() > 0.01
            images = images.mean(axis=1)
            images /= np.linalg.norm(images, axis=1, keepdims=True)
        assert np.allclose(encoder.encode_images(pictures()), images, atol=1e-5)


def test_half_precision_gives_nearly_the_same(small: tuple[Small, TransformersEncoder]) -> None:
    made, encoder = small
    architecture = ARCHITECTURES[made.model.config.model_type]
    half = _model(encoder.name.partition(":")[2], architecture, architecture.gpu_dtype)
    pixels = torch.stack([encoder.preprocess(image) for image in pictures()])
    texts = ["a", "b c", "a c"]
    with torch.inference_mode():
        images = architecture.image_features(half, pixels.to(getattr(torch, architecture.gpu_dtype))).float().numpy()
        words = architecture.text_features(half, encoder._tokens(texts)).float().numpy()
    for found, expected in ((images, encoder.encode_images(pictures())), (words, encoder.encode_texts(texts))):
        assert ((found * expected).sum(axis=1) / np.linalg.norm(found, axis=1)).min() > 0.999


def resized(image: Image.Image, side: int, how: Image.Resampling) -> Any:
    return np.asarray(image.resize((side, side), how), dtype=np.float64).transpose(2, 0, 1) / 127.5 - 1


@pytest.mark.parametrize("size", [(100, 70), (50, 3), (3, 3)])
def test_preprocessing_by_hand(size: tuple[int, int], tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, size=(*size[::-1], 3), dtype=np.uint8))
    for made in (align(), siglip()):
        folder = tmp_path / made.model.config.model_type
        made.save(folder)
        found = load_encoder(f"transformers:{folder}", device="cpu").preprocess(image)  # type: ignore[attr-defined]
        if made.model.config.model_type == "align":
            expected = resized(image, SIDE + 7, Image.Resampling.BILINEAR)[:, 3:-4, 3:-4]
        else:
            expected = resized(image, SIDE, Image.Resampling.BICUBIC)
        assert found.dtype == torch.float32
        assert np.allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "config", "side", "projection", "dimension"),
    [
        ("clip", transformers.CLIPConfig, 224, "text_projection", 512),  # openai/clip-vit-base-patch32
        ("siglip", transformers.SiglipConfig, 224, "text_model.head", 768),  # google/siglip2-base-patch16-224
        ("align", transformers.AlignConfig, 289, "text_projection", 640),  # kakaobrain/align-base
        ("blip-2", transformers.Blip2Config, 224, "text_projection", 256),  # Salesforce/blip2-itm-vit-g
    ],
)
def test_dimensions_of_published_models(
    model_type: str, config: Any, side: int, projection: str, dimension: int
) -> None:
    architecture = ARCHITECTURES[model_type]
    with torch.device("meta"), torch.inference_mode():  # shapes alone, no weights
        model = getattr(transformers, architecture.model)(config()).eval()
        assert architecture.image_features(model, torch.zeros(2, 3, side, side)).shape == (2, dimension)
        assert model.get_submodule(projection).out_features == dimension


def without_a_weight(folder: Path) -> None:
    align().save(folder)
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def without_a_vocabulary(folder: Path) -> None:
    align().save(folder)
    (folder / "tokenizer.json").unlink()


def captioning(folder: Path) -> None:
    transformers.Blip2Config(architectures=["Blip2ForConditionalGeneration"]).save_pretrained(folder)


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda folder: None, "config.json"),
        (lambda folder: (folder / "config.json").write_text("{}"), "model_type"),
        (lambda folder: transformers.BertConfig().save_pretrained(folder), "a model of type 'bert'"),
        (lambda folder: transformers.Siglip2Config().save_pretrained(folder), "NaFlex .* fixed resolution"),
        (captioning, "holds Blip2ForConditionalGeneration, and what is needed is Blip2ForImageTextRetrieval"),
        (lambda folder: transformers.CLIPConfig().save_pretrained(folder), "cannot load encoder"),
        (without_a_weight, r"lacks weights, 1 in all: text_projection\.weight"),
        (without_a_vocabulary, "holds no vocabulary"),
    ],
)
def test_folders_that_cannot_be_loaded(write: Callable[[Path], None], complaint: str, tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(EncoderError, match=complaint) as caught:
        load_encoder(f"transformers:{tmp_path}")
    for architecture in ARCHITECTURES.values():
        assert architecture.title in str(caught.value)


def test_a_repository_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for source in ("google/siglip2-base-patch16-224", "no such repository", "/nowhere"):
        with pytest.raises(EncoderError, match=f'cannot load encoder "transformers:{source}"'):
            load_encoder(f"transformers:{source}")
    with pytest.raises(EncoderError, match="transformers:<repository or folder>"):
        load_encoder("transformers:")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingPackageError, match=r'pip install "crl-qdrant\[transformers\]"'):
        load_encoder("transformers:openai/clip-vit-base-patch32")


def test_a_collection_finds_its_encoder_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    siglip2().save(tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    photos = dict(zip((1, 2, 3, 4), pictures(), strict=True))
    with CRLCollection.create(
        "products", location="data", encoder="transformers:models/mine", device="cpu"
    ) as products:
        assert products.info().encoder == f"transformers:{tmp_path / 'models' / 'mine'}"
        assert products.add(ids=list(photos), images=list(photos.values())).written == 4
        products.define(Criterion("letter", ["a", "b", "c"], prompt="of {}"))
    monkeypatch.chdir("/")
    with CRLCollection.open("products", location=tmp_path / "data") as products:
        for key, photo in photos.items():
            assert products.search(photo, criterion="letter", limit=1)[0].id == key
        assert len(products.search(text="a b", limit=4)) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_the_same(small: tuple[Small, TransformersEncoder]) -> None:
    _, encoder = small
    on_gpu = load_encoder(encoder.name, device="cuda")
    assert (on_gpu.encode_images(pictures()) * encoder.encode_images(pictures())).sum(axis=1).min() > 0.999
    assert (on_gpu.encode_texts(["a", "b c"]) * encoder.encode_texts(["a", "b c"])).sum(axis=1).min() > 0.999
