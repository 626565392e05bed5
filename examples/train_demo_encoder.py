"""Train the demo encoder: a small open_clip model on rendered products, from scratch, on two CPU cores.

    python examples/train_demo_encoder.py --out crl_qdrant/demo/model

Writes `open_clip_config.json` and `open_clip_model.safetensors` (float16), a folder that
`encoder="open_clip:local-dir:<folder>"` loads as it is. Seeded: the same machine gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch.nn import functional

from crl_qdrant.demo.products import ATTRIBUTES, caption, Product, sample_products
from crl_qdrant.demo.render import render

IMAGE_SIZE = 64
CONFIG: dict[str, dict[str, Any]] = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": IMAGE_SIZE, "layers": [1, 1, 1, 1], "width": 24, "patch_size": None},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 88, "heads": 4, "layers": 2},
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "interpolation": "bicubic",
        "resize_mode": "longest",
        "fill_color": 255,
    },
}


def pixels(product: Product) -> np.ndarray:
    """A product's picture as the model sees it: uint8 [64, 64, 3]."""
    return np.asarray(render(product).resize((IMAGE_SIZE, IMAGE_SIZE), 3))


def codes(products: list[Product]) -> torch.Tensor:
    """Attribute values as numbers: int64 [N, 4]."""
    values = [list(phrasings) for phrasings in ATTRIBUTES.values()]
    return torch.tensor(
        [
            [options.index(value) for options, value in zip(values, p.attributes().values(), strict=True)]
            for p in products
        ]
    )


def contrastive_loss(logits: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Cross entropy in both directions where a caption is right for every image that shows what it speaks of.

    Args:
        logits: [B, B], images in rows and captions in columns.
        positive: [B, B], true where caption j holds for image i; its diagonal is true.
    """
    by_image = positive.float() / positive.sum(dim=1, keepdim=True)
    by_text = positive.float() / positive.sum(dim=0, keepdim=True)
    return 0.5 * (functional.cross_entropy(logits, by_image) + functional.cross_entropy(logits.T, by_text.T))


def train(*, images: int, steps: int, batch: int, learning_rate: float, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    rng = random.Random(seed)
    products = sample_products(images, seed=seed)
    with ProcessPoolExecutor() as pool:
        pictures = torch.from_numpy(np.stack(list(pool.map(pixels, products, chunksize=256)))).permute(0, 3, 1, 2)
    labels = codes(products)
    mean, std = (torch.tensor(CONFIG["preprocess_cfg"][key]).view(1, 3, 1, 1) for key in ("mean", "std"))

    model = open_clip.CLIP(**CONFIG["model_cfg"]).to(memory_format=torch.channels_last)
    tokenizer = open_clip.SimpleTokenizer(context_length=CONFIG["model_cfg"]["text_cfg"]["context_length"])
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)

    started = time.monotonic()
    for step in range(steps):
        chosen = torch.tensor(rng.sample(range(images), batch))
        captions = [caption(products[i], rng) for i in chosen.tolist()]
        spoken = torch.tensor([[name in names for name in ATTRIBUTES] for _, names in captions])
        same = labels[chosen][:, None, :] == labels[chosen][None, :, :]  # [B, B, 4]
        positive = (same | ~spoken[None, :, :]).all(dim=2)
        x = (pictures[chosen].float() / 255 - mean) / std
        flipped = torch.rand(batch) < 0.5
        x[flipped] = x[flipped].flip(3)
        x = torch.roll(x, shifts=(rng.randint(-3, 3), rng.randint(-3, 3)), dims=(2, 3))
        with torch.autocast("cpu", torch.bfloat16):
            image = model.encode_image(x.contiguous(memory_format=torch.channels_last), normalize=True)
            text = model.encode_text(tokenizer([text for text, _ in captions]), normalize=True)
        logits = model.logit_scale.exp() * image.float() @ text.float().T
        loss = contrastive_loss(logits, positive)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.3f}  {time.monotonic() - started:5.0f} s", flush=True)
    trained: torch.nn.Module = model.eval()
    return trained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=24_000)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    model = train(
        images=arguments.images,
        steps=arguments.steps,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    weights = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    save_file(weights, arguments.out / "open_clip_model.safetensors")
    print(f"wrote {arguments.out} after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
