"""Cards: playing cards by number and by suit, as two folders over the same pictures (Yao et al., AugDMC, 2023)."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from crl_qdrant.errors import DatasetError
from crl_qdrant.evaluation.datasets.files import few, require
from crl_qdrant.evaluation.datasets.labelled import LabelledImages

__all__ = ["CARDS_IMAGES", "CARDS_PROMPTS", "load_cards"]

CARDS_IMAGES: Final = 8_029
"""Images of the published set."""

CARDS_PROMPTS: Final = {
    "number": "a poker card with the number of {}",
    "suits": "a poker card with the card suits of {}",
}

_VALUES: Final = {
    "number": ["ace", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "jack", "queen", "king"],
    "suits": ["clubs", "diamonds", "hearts", "spades"],
}
_SUFFIXES: Final = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_LAYOUT: Final = (
    "Cards is in http://faculty.washington.edu/juhuah/images/AugDMC_datasets.zip; unpack it and give the folder "
    "cards/, which holds number/<ace, …>/ and suits/<clubs, …>/, or the one above it"
)


def load_cards(root: Path, *, complete: bool = False) -> LabelledImages:
    """The pictures of `number/`, each with its suit from `suits/`, whose files come in another order.

    The two folders are joined by file name where every name is there once, and by the files' content otherwise.

    Args:
        root: the folder with `number/<value>/*` and `suits/<value>/*`, or the one above `cards/`.
        complete: also require that there are all 8,029 images.

    Raises:
        DatasetError: if folders are missing or have other names, or the two do not hold the same images.
    """
    folder = root / "cards" if (root / "cards").is_dir() else root
    require([folder / criterion for criterion in _VALUES], layout=_LAYOUT)
    numbers, suits = (_labelled(folder / criterion, allowed) for criterion, allowed in _VALUES.items())
    if complete and len(numbers) != CARDS_IMAGES:
        raise DatasetError(f"{folder / 'number'} has {len(numbers):,} images, Cards has {CARDS_IMAGES:,}")
    by_name = all(max(Counter(path.name for path in each).values()) == 1 for each in (numbers, suits))
    suit_of = _joined(numbers, suits, _name if by_name else _content)
    images = tuple(sorted(numbers))
    return LabelledImages(
        images, {"number": tuple(numbers[each] for each in images), "suits": tuple(suit_of[each] for each in images)}
    )


def _labelled(folder: Path, allowed: Sequence[str]) -> dict[Path, str]:
    """Every picture below a folder with the name of its own folder; what is no picture is passed over."""
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    unknown = sorted(path.name for path in found if path.name not in allowed)
    if unknown:
        raise DatasetError(f"{folder} has the folders {few(unknown)}, which are none of {', '.join(allowed)}")
    images = {path: path.parent.name for value in found for path in value.iterdir() if _is_picture(path)}
    if not images:
        raise DatasetError(f"{folder} has no pictures. {_LAYOUT}")
    return images


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def _joined(numbers: Mapping[Path, str], suits: Mapping[Path, str], key: Callable[[Path], str]) -> dict[Path, str]:
    """The suit of each picture of `number/`, through what is the same for a picture in both folders."""
    here, there = ({path: key(path) for path in each} for each in (numbers, suits))
    shared = {*here.values()} & {*there.values()}
    lonely = sorted(path for each in (here, there) for path, its_key in each.items() if its_key not in shared)
    if lonely:
        raise DatasetError(f"{len(lonely)} pictures are only in one of number/ and suits/: {few(lonely)}. {_LAYOUT}")
    known: dict[str, set[str]] = defaultdict(set)
    for path, suit in suits.items():
        known[there[path]].add(suit)
    torn = sorted(path for path, each in here.items() if len(known[each]) > 1)
    if torn:
        raise DatasetError(f"{len(torn)} pictures are in more than one folder of suits/: {few(torn)}")
    return {path: next(iter(known[each])) for path, each in here.items()}


def _name(path: Path) -> str:
    return path.name


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
