"""DeepFashion's attributes in ASEN's split: find the garments that share one attribute's value (Ma et al., 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.errors import DatasetError
from crl_qdrant.evaluation.datasets.files import few, lines, require, require_images, spread

__all__ = [
    "FASHION_PROMPTS",
    "AttributeImages",
    "AttributeRetrieval",
    "Entries",
    "load_deepfashion",
    "load_deepfashion_training",
]

FASHION_PROMPTS: Final = {
    attribute: f"a fashion with a {attribute} of {{}}" for attribute in ("texture", "fabric", "shape", "part", "style")
}

_VALUES: Final = {"texture": 156, "fabric": 218, "shape": 180, "part": 216, "style": 230}
_LAYOUT: Final = (
    "The index files are in data.zip, https://drive.google.com/file/d/1KUkwqdZxjmDL-ixCcIX8GbsnUFqqcpJH (ASEN++), the "
    "images in DeepFashion's Category and Attribute Prediction benchmark, "
    "http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion.html; give the folder data/DeepFashion/, with "
    "filenames_<split>.txt, query_<split>.txt, candidate_<split>.txt, label_train.txt and img/, or the one above it"
)


@dataclass(frozen=True, slots=True)
class Entries:
    """The images listed under one attribute.

    Attributes:
        rows: int64 [n], positions among the images.
        values: int64 [n], the attribute's value in each.
    """

    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]

    def limited(self, limit: int | None) -> Entries:
        """At most `limit` of the entries, evenly spread."""
        kept = spread(len(self.rows), limit)
        return Entries(self.rows[kept], self.values[kept])


@dataclass(frozen=True, slots=True)
class AttributeRetrieval:
    """Queries and candidates by attribute.

    Attributes:
        images: the files that any of the entries speaks of.
        queries: attribute -> entries that are searched with.
        candidates: attribute -> entries that are ranked for each query of that attribute, and no others.
        repeated: lines left out because the same line came before.
    """

    images: tuple[Path, ...]
    queries: Mapping[str, Entries]
    candidates: Mapping[str, Entries]
    repeated: int = 0

    def limited(self, limit: int | None) -> AttributeRetrieval:
        """At most `limit` queries and as many candidates of each attribute, and their images, for a quick run."""
        queries = {attribute: entries.limited(limit) for attribute, entries in self.queries.items()}
        candidates = {attribute: entries.limited(limit) for attribute, entries in self.candidates.items()}
        return _compact(self.images, queries, candidates, self.repeated)


@dataclass(frozen=True, slots=True)
class AttributeImages:
    """Images to train on, by attribute; an image may have several values of one.

    Attributes:
        images: the files that any of the entries speaks of.
        entries: attribute -> images and values.
        repeated: lines left out because the same line came before.
    """

    images: tuple[Path, ...]
    entries: Mapping[str, Entries]
    repeated: int = 0

    def limited(self, limit: int | None) -> AttributeImages:
        """At most `limit` entries of each attribute, evenly spread, and their images, for a quick run."""
        entries = {attribute: each.limited(limit) for attribute, each in self.entries.items()}
        return _images_of(self.images, entries, self.repeated)


def load_deepfashion(root: Path, *, split: str = "test") -> AttributeRetrieval:
    """Queries and candidates of one split; an entry's image is found by its id, the line number in `filenames_<split>`.

    Args:
        root: the folder with the index files and `img/`, or the one above `DeepFashion/`.
        split: "valid" or "test".

    Raises:
        DatasetError: if files are missing, lines are not `id attribute value`, or ids or values are out of range.
    """
    folder = _folder(root)
    filenames, query, candidate = (folder / f"{kind}_{split}.txt" for kind in ("filenames", "query", "candidate"))
    require([filenames, query, candidate], layout=_LAYOUT)
    paths = [folder / line for line in lines(filenames)]
    queries, repeated_queries = _entries(query, len(paths))
    candidates, repeated_candidates = _entries(candidate, len(paths))
    lacking = [attribute for attribute in queries if attribute not in candidates]
    if lacking or not queries:
        raise DatasetError(f"{query} has queries without candidates in {candidate}: {few(lacking) or 'it is empty'}")
    data = _compact(paths, queries, candidates, repeated_queries + repeated_candidates)
    require_images(data.images, layout=_LAYOUT)
    return data


def load_deepfashion_training(root: Path) -> AttributeImages:
    """Load the training images: `label_train`, whose lines have all values of an image.

    Args:
        root: as `load_deepfashion` takes it.

    Raises:
        DatasetError: files that are missing, lines that are not `id attribute value [attribute value …]`, ids or
            values out of range.
    """
    folder = _folder(root)
    filenames, labels = folder / "filenames_train.txt", folder / "label_train.txt"
    require([filenames, labels], layout=_LAYOUT)
    paths = [folder / line for line in lines(filenames)]
    entries, repeated = _entries(labels, len(paths), several=True)
    if not entries:
        raise DatasetError(f"{labels} is empty")
    data = _images_of(paths, entries, repeated)
    require_images(data.images, layout=_LAYOUT)
    return data


def _folder(root: Path) -> Path:
    return root / "DeepFashion" if (root / "DeepFashion").is_dir() else root


def _entries(path: Path, images: int, *, several: bool = False) -> tuple[dict[str, Entries], int]:
    """Entries by attribute, in the file's order, and the number of repeated lines.

    Args:
        path: a file of lines `id attribute value`.
        images: number of ids.
        several: whether a line may have more than one attribute and value.
    """
    names = list(_VALUES)
    form = "id attribute value [attribute value …]" if several else "id attribute value"
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    flaws = []
    content = lines(path)
    for line in dict.fromkeys(content):
        try:
            row, *pairs = map(int, line.split())
        except ValueError:
            pairs = []
        if not pairs or len(pairs) % 2 or (len(pairs) > 2 and not several):
            flaws.append(f"{line!r} is not '{form}'")
        elif not 0 <= row < images:
            flaws.append(f"{line!r} has id {row} of {images} images")
        else:
            for attribute, value in zip(pairs[::2], pairs[1::2], strict=True):
                if not 0 <= attribute < len(names):
                    flaws.append(f"{line!r} has attribute {attribute}, which are 0 to {len(names) - 1}")
                elif not 0 <= value < _VALUES[names[attribute]]:
                    flaws.append(f"{line!r} has value {value} of {_VALUES[names[attribute]]} of {names[attribute]}")
                else:
                    found[names[attribute]].append((row, value))
    if flaws:
        raise DatasetError(f"{path} has {len(flaws)} lines that cannot be right: {few(flaws)}")
    entries = {name: Entries(*np.array(pairs, dtype=np.int64).T) for name, pairs in found.items() if pairs}
    return entries, len(content) - len(dict.fromkeys(content))


def _compact(
    paths: Sequence[Path], queries: Mapping[str, Entries], candidates: Mapping[str, Entries], repeated: int
) -> AttributeRetrieval:
    """The same with only the images that an entry speaks of."""
    used = _used(*queries.values(), *candidates.values())
    return AttributeRetrieval(
        tuple(paths[row] for row in used), _moved(queries, used), _moved(candidates, used), repeated
    )


def _images_of(paths: Sequence[Path], entries: Mapping[str, Entries], repeated: int) -> AttributeImages:
    used = _used(*entries.values())
    return AttributeImages(tuple(paths[row] for row in used), _moved(entries, used), repeated)


def _used(*entries: Entries) -> npt.NDArray[np.int64]:
    """The rows of all of them, once and in order."""
    return np.unique(np.concatenate([each.rows for each in entries]))


def _moved(entries: Mapping[str, Entries], used: npt.NDArray[np.int64]) -> dict[str, Entries]:
    """The same by positions among the rows that are used."""
    return {name: Entries(np.searchsorted(used, each.rows), each.values) for name, each in entries.items()}
