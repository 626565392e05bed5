"""Word lists for the criteria of a shop: one text file per criterion in `lists/`, best-known words first."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

from crl_qdrant.errors import InputError

__all__ = ["packaged_names", "packaged_words"]

_LISTS: Final = files("crl_qdrant.vocabulary") / "lists"

# Other names of a list, as `_key` writes them; plurals need no entry.
_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "age_group": ("age", "age_range", "target_age"),
    "background": ("backdrop",),
    "bag_type": ("bag", "bag_style", "handbag", "luggage"),
    "brand_feel": ("brand_identity", "brand_image", "brand_personality"),
    "closure": ("closure_type", "fastener", "fastening"),
    "collar": ("collar_style", "collar_type", "lapel"),
    "colour": ("base_color", "base_colour", "color", "colorway", "colourway", "hue", "shade"),
    "condition": ("item_condition", "wear_and_tear"),
    "count": ("amount", "number", "number_of_objects", "quantity"),
    "embellishment": ("adornment", "decoration", "ornament", "trim", "trimming"),
    "era": ("decade", "epoch", "time_period"),
    "fabric": ("cloth", "fabric_type", "textile"),
    "finish": ("coating", "surface", "surface_finish"),
    "fit": ("fit_type",),
    "furniture_type": ("furniture",),
    "garment_type": ("apparel", "clothes", "clothing", "clothing_type", "garment"),
    "gemstone": ("gem", "jewel", "precious_stone"),
    "gender": ("sex",),
    "headwear": ("cap", "hat", "hat_type", "headgear"),
    "heel": ("heel_height", "heel_shape", "heel_type"),
    "jewellery_type": ("jewellery", "jewelry", "jewelry_type"),
    "length": ("dress_length", "garment_length", "hem_length", "hemline", "skirt_length"),
    "lighting": ("illumination", "light"),
    "material": ("material_type",),
    "mood": ("atmosphere", "emotion", "feeling", "vibe"),
    "neckline": ("neck", "neck_line", "neckline_type"),
    "occasion": ("event", "occasion_type"),
    "packaging": ("container", "package", "packaging_type"),
    "pattern": ("pattern_type", "print", "print_pattern"),
    "pose": ("body_pose", "posture", "stance"),
    "presentation": ("product_display", "staging"),
    "print_theme": ("graphic_theme", "motif", "print_motif", "theme"),
    "product_category": ("article_type", "category", "item_type", "product", "product_type"),
    "room": ("room_type",),
    "scene": ("environment", "location", "place", "setting"),
    "season": ("time_of_year",),
    "shape": ("form", "geometry"),
    "shoe_type": ("footwear", "footwear_type", "shoe", "shoe_style"),
    "silhouette": ("cut", "garment_shape"),
    "size": ("dimension",),
    "sleeve": ("sleeve_length", "sleeve_style", "sleeve_type"),
    "sport": ("sport_type", "sporting_activity"),
    "style": ("aesthetic", "fashion_style", "look"),
    "texture": ("surface_texture", "tactile_texture"),
    "viewpoint": ("angle", "camera_angle", "perspective", "view", "view_point"),
}

_PLURALS: Final = (("", ""), ("ies", "y"), ("es", ""), ("s", ""))


def packaged_names() -> list[str]:
    """Return the names of the criteria that have a packaged list, sorted."""
    return sorted(entry.name.removesuffix(".txt") for entry in _LISTS.iterdir() if entry.name.endswith(".txt"))


def packaged_words(name: str) -> list[str] | None:
    """Return the packaged words of a criterion, best-known first, or None if there is no list.

    Args:
        name: of the criterion. Case and number do not matter, blanks, '-' and '_' are alike, and usual
            synonyms are known: "Colors", "hue" and "colour" have the same words.

    Raises:
        InputError: if `name` is not a text.
    """
    if not isinstance(name, str):
        raise InputError(f"`name` must be a text, got {name!r:.80}")
    found = _list_of(_key(name))
    return None if found is None else (_LISTS / f"{found}.txt").read_text(encoding="utf-8").splitlines()


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def _list_of(key: str) -> str | None:
    known = {name: name for name in packaged_names()}
    known |= {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
    singulars = (key.removesuffix(plural) + singular for plural, singular in _PLURALS if key.endswith(plural))
    return next((known[singular] for singular in singulars if singular in known), None)
