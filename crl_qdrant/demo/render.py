"""Draws the demo catalogue's products: a silhouette, filled with a colour and a pattern, on a noisy backdrop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from crl_qdrant.demo.products import Product

__all__ = ["render"]

Floats = npt.NDArray[np.float32]
Point = tuple[float, float]

_SUPERSAMPLE: Final = 2
_COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (205, 30, 38),
    "orange": (243, 130, 22),
    "yellow": (246, 216, 40),
    "green": (40, 140, 66),
    "blue": (36, 82, 196),
    "purple": (116, 48, 158),
    "pink": (242, 120, 176),
    "brown": (112, 68, 36),
    "black": (26, 26, 28),
    "white": (248, 248, 246),
}
# Centres and size of the objects on the unit square, by how many there are.
_LAYOUTS: Final[dict[str, tuple[tuple[Point, ...], float]]] = {
    "one": (((0.5, 0.5),), 0.80),
    "two": (((0.27, 0.5), (0.73, 0.5)), 0.47),
    "three": (((0.5, 0.26), (0.26, 0.73), (0.74, 0.73)), 0.44),
    "four": (((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)), 0.43),
}
# Outlines on the unit square (x right, y down): filled polygons, then ellipses (left, top, right, bottom);
# "holes" are ellipses or polygons taken out again.
_POLYGONS: Final[dict[str, tuple[tuple[Point, ...], ...]]] = {
    "t-shirt": (
        (
            (0.28, 0.1),
            (0.4, 0.1),
            (0.5, 0.17),
            (0.6, 0.1),
            (0.72, 0.1),
            (1, 0.3),
            (0.88, 0.47),
            (0.76, 0.4),
            (0.76, 0.95),
            (0.24, 0.95),
            (0.24, 0.4),
            (0.12, 0.47),
            (0, 0.3),
        ),
    ),
    "dress": (
        (
            (0.36, 0.02),
            (0.42, 0.02),
            (0.5, 0.14),
            (0.58, 0.02),
            (0.64, 0.02),
            (0.66, 0.24),
            (0.6, 0.42),
            (0.9, 0.98),
            (0.1, 0.98),
            (0.4, 0.42),
            (0.34, 0.24),
        ),
    ),
    "trousers": (((0.26, 0.02), (0.74, 0.02), (0.84, 0.98), (0.6, 0.98), (0.5, 0.34), (0.4, 0.98), (0.16, 0.98)),),
    "hat": (((0.26, 0.66), (0.3, 0.26), (0.42, 0.2), (0.5, 0.25), (0.58, 0.2), (0.7, 0.26), (0.74, 0.66)),),
    "boot": (
        (
            (0.22, 0.02),
            (0.6, 0.02),
            (0.6, 0.6),
            (0.94, 0.76),
            (0.94, 0.97),
            (0.46, 0.97),
            (0.44, 0.88),
            (0.4, 0.97),
            (0.2, 0.97),
        ),
    ),
    "handbag": (((0.14, 0.42), (0.86, 0.42), (0.97, 0.94), (0.03, 0.94)),),
    "mug": (((0.08, 0.14), (0.68, 0.14), (0.64, 0.92), (0.12, 0.92)),),
    "umbrella": (
        ((0.475, 0.4), (0.525, 0.4), (0.525, 0.92), (0.475, 0.92)),
        ((0.475, 0.0), (0.525, 0.0), (0.525, 0.1), (0.475, 0.1)),
        (
            (0.475, 0.86),
            (0.525, 0.86),
            (0.525, 0.98),
            (0.34, 0.98),
            (0.34, 0.88),
            (0.39, 0.88),
            (0.39, 0.93),
            (0.475, 0.93),
        ),
    ),
    "chair": (
        ((0.2, 0.02), (0.34, 0.02), (0.34, 0.5), (0.84, 0.5), (0.84, 0.64), (0.2, 0.64)),
        ((0.2, 0.6), (0.3, 0.6), (0.3, 0.98), (0.2, 0.98)),
        ((0.74, 0.6), (0.84, 0.6), (0.84, 0.98), (0.74, 0.98)),
    ),
    "lamp": (
        ((0.34, 0.04), (0.66, 0.04), (0.86, 0.5), (0.14, 0.5)),
        ((0.46, 0.5), (0.54, 0.5), (0.54, 0.86), (0.46, 0.86)),
        ((0.3, 0.86), (0.7, 0.86), (0.76, 0.96), (0.24, 0.96)),
    ),
}
_ELLIPSES: Final[dict[str, tuple[tuple[float, float, float, float], ...]]] = {
    "hat": ((0.0, 0.56, 1.0, 0.82),),
    "handbag": ((0.28, 0.08, 0.72, 0.8),),
    "mug": ((0.5, 0.26, 0.98, 0.76),),
}
_HOLES: Final[dict[str, tuple[tuple[float, float, float, float], ...]]] = {
    "handbag": ((0.36, 0.17, 0.64, 0.66),),
    "mug": ((0.6, 0.37, 0.86, 0.65),),
}


def render(product: Product, *, size: int = 128) -> Image.Image:
    """The picture of a product: an RGB image of `size` x `size` pixels, the same for the same product."""
    rng = np.random.default_rng(product.seed)
    canvas = size * _SUPERSAMPLE
    picture = _backdrop(rng, canvas)
    centres, extent = _LAYOUTS[product.count]
    pattern_seed = int(rng.integers(1 << 32))
    for x, y in centres:
        side = round(canvas * extent * rng.uniform(0.86, 1.02))
        left = round(canvas * (x + rng.uniform(-0.03, 0.03)) - side / 2)
        top = round(canvas * (y + rng.uniform(-0.03, 0.03)) - side / 2)
        mask = _mask(product.silhouette, side)
        if rng.random() < 0.5:
            mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        # every object of one picture is the same product, so it wears the same pattern
        cloth = _cloth(product, np.random.default_rng(pattern_seed), side)
        shadow = mask.filter(ImageFilter.GaussianBlur(side * 0.02)).point(lambda value: value * 0.45)
        picture.paste((40, 40, 44), (left + side // 40, top + side // 40), shadow)
        picture.paste(cloth, (left, top), mask)
    return picture.resize((size, size), Image.Resampling.BOX)


def _backdrop(rng: np.random.Generator, side: int) -> Image.Image:
    """A tinted surface with a gradient, soft blotches and grain; grain is laid on a fixed grid so that it does not
    depend on the picture's size."""
    tone = rng.uniform(150, 225) + rng.uniform(-14, 14, size=3)
    grid = 48
    ramp = np.linspace(-1, 1, grid, dtype=np.float32) * rng.uniform(-22, 22)
    blotches = np.asarray(
        Image.fromarray(rng.normal(0, 14, size=(6, 6)).astype(np.float32)).resize(
            (grid, grid), Image.Resampling.BICUBIC
        )
    )
    grain = rng.normal(0, 7, size=(grid, grid, 3))
    pixels = tone + (ramp[:, None] + blotches)[:, :, None] + grain
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return image.resize((side, side), Image.Resampling.BICUBIC)


def _mask(silhouette: str, side: int) -> Image.Image:
    mask = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(mask)
    if silhouette == "umbrella":
        draw.pieslice((0, 0.06 * side, side, 0.98 * side), 180, 360, fill=255)
    for box in _ELLIPSES.get(silhouette, ()):
        draw.ellipse([side * value for value in box], fill=255)
    for box in _HOLES.get(silhouette, ()):
        draw.ellipse([side * value for value in box], fill=0)
    for outline in _POLYGONS[silhouette]:
        draw.polygon([(side * x, side * y) for x, y in outline], fill=255)
    return mask


def _cloth(product: Product, rng: np.random.Generator, side: int) -> Image.Image:
    """A square of the product's material: its colour, with the pattern in a second tone of the same colour."""
    base = np.array(_COLOURS[product.colour], dtype=np.float32) + rng.uniform(-9, 9, size=3).astype(np.float32)
    bright = float(base.mean())
    # the second tone must stand out and still be the same colour: lighter on dark ones, darker on light ones
    target = np.float32(255.0 if bright < 120 else 0.0)
    second = base + (target - base) * np.float32(rng.uniform(0.42, 0.55) if bright < 120 else rng.uniform(0.34, 0.44))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    share = _PATTERNS[product.pattern](x, y, rng)[:, :, None]
    shade = (1.0 + 0.10 * (0.5 - y))[:, :, None]
    pixels = (base * (1 - share) + second * share) * shade
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _plain(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    return np.zeros_like(x)


def _striped(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    along = x if rng.random() < 0.5 else y
    return np.asarray((np.mod(along * rng.uniform(4.2, 5.6) + rng.random(), 1) < 0.42), dtype=np.float32)


def _checked(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    period, shift = rng.uniform(3.2, 4.2), rng.random(2)
    across = np.mod(x * period + shift[0], 1) < 0.5
    down = np.mod(y * period + shift[1], 1) < 0.5
    return np.asarray(np.where(across & down, 1.0, np.where(across | down, 0.5, 0.0)), dtype=np.float32)


def _dotted(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    period, shift = rng.uniform(3.4, 4.4), rng.random(2)
    u, v = x * period + shift[0], y * period + shift[1]
    u = u + 0.5 * np.mod(np.floor(v), 2)
    return np.asarray((np.hypot(np.mod(u, 1) - 0.5, np.mod(v, 1) - 0.5) < 0.3), dtype=np.float32)


def _zigzag(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    period = rng.uniform(3.0, 3.8)
    tooth = np.abs(np.mod(x * period + rng.random(), 1) - 0.5)
    return np.asarray((np.mod(y * period + tooth * 1.3 + rng.random(), 1) < 0.42), dtype=np.float32)


def _floral(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    period, shift = rng.uniform(2.2, 2.8), rng.random(2)
    u, v = x * period + shift[0], y * period + shift[1]
    u = u + 0.5 * np.mod(np.floor(v), 2)
    u, v = np.mod(u, 1) - 0.5, np.mod(v, 1) - 0.5
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    petals = (radius < 0.3 + 0.13 * np.cos(5 * angle)) & (radius > 0.1)
    return np.asarray(petals, dtype=np.float32)


def _ombre(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    ramp = y if rng.random() < 0.5 else 1 - y
    return np.asarray(np.clip(ramp * 1.5 - 0.2, 0, 1.1), dtype=np.float32)


def _camouflage(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    field = np.zeros_like(x)
    for _ in range(5):
        angle, frequency, phase = rng.uniform(0, math.pi), rng.uniform(10, 17), rng.uniform(0, 2 * math.pi)
        field += np.sin(frequency * (math.cos(angle) * x + math.sin(angle) * y) + phase).astype(np.float32)
    return np.asarray(np.where(field > 0.9, 1.0, np.where(field < -1.1, 0.5, 0.0)), dtype=np.float32)


_PATTERNS: Final[dict[str, Callable[[Floats, Floats, np.random.Generator], Floats]]] = {
    "plain": _plain,
    "striped": _striped,
    "checked": _checked,
    "dotted": _dotted,
    "zigzag": _zigzag,
    "floral": _floral,
    "ombre": _ombre,
    "camouflage": _camouflage,
}
