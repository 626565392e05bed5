"""GeneCIS' object halves: images alike in what a word names, or with it changed (Vaze et al., CVPR 2023)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from crl_qdrant.errors import DatasetError
from crl_qdrant.evaluation.datasets.files import few, read_json, require, require_images, spread
from crl_qdrant.evaluation.similarity import GalleryQuery

__all__ = ["GENECIS_PROMPTS", "GENECIS_QUERIES", "GalleryRetrieval", "load_genecis"]

GENECIS_QUERIES: Final = 1_960
"""Queries of each published half."""

GENECIS_PROMPTS: Final = {"scene": "a photo with a scene of {}"}

_HALVES: Final = ("focus", "change")
_LARGEST_ID: Final = 10**12 - 1  # file names have twelve digits
_LAYOUT: Final = (
    "focus_object.json and change_object.json are in https://github.com/facebookresearch/genecis (genecis/), the "
    "images in http://images.cocodataset.org/zips/val2017.zip; give the folder that holds genecis/ and val2017/"
)


@dataclass(frozen=True, slots=True)
class GalleryRetrieval:
    """Queries with galleries, by half.

    Attributes:
        images: the files that any query speaks of.
        queries: half -> queries, whose numbers are rows of the images.
        left_out: queries with a gallery of another size than most of their half, which GeneCIS' own loader drops too.
    """

    images: tuple[Path, ...]
    queries: Mapping[str, tuple[GalleryQuery, ...]]
    left_out: int = 0

    def limited(self, limit: int | None) -> GalleryRetrieval:
        """At most `limit` queries of each half, evenly spread, and their images, for a quick run."""
        kept = {
            half: tuple(queries[row] for row in spread(len(queries), limit)) for half, queries in self.queries.items()
        }
        used = sorted({row for queries in kept.values() for query in queries for row in _rows(query)})
        place = {row: number for number, row in enumerate(used)}
        return GalleryRetrieval(
            tuple(self.images[row] for row in used),
            {half: tuple(_moved(query, place) for query in queries) for half, queries in kept.items()},
            self.left_out,
        )


def load_genecis(root: Path) -> GalleryRetrieval:
    """Both object halves over COCO's val2017.

    Args:
        root: the folder with `val2017/<id, twelve digits>.jpg` and `focus_object.json` and `change_object.json`,
            or these two in `genecis/`.

    Raises:
        DatasetError: if files are missing, entries have another shape, or ids are none that an image can have.
    """
    folder = root / "genecis" if (root / "genecis").is_dir() else root
    files = {half: folder / f"{half}_object.json" for half in _HALVES}
    require([*files.values(), root / "val2017"], layout=_LAYOUT)
    by_id = {half: _queries(path) for half, path in files.items()}
    ids = sorted({row for queries in by_id.values() for query in queries for row in _rows(query)})
    images = tuple(root / "val2017" / f"{each:012d}.jpg" for each in ids)
    require_images(images, layout=_LAYOUT)
    place = {each: number for number, each in enumerate(ids)}
    kept: dict[str, tuple[GalleryQuery, ...]] = {}
    for half, queries in by_id.items():
        usual = Counter(len(query.gallery) for query in queries).most_common(1)[0][0]
        kept[half] = tuple(_moved(query, place) for query in queries if len(query.gallery) == usual)
    left_out = sum(map(len, by_id.values())) - sum(map(len, kept.values()))
    return GalleryRetrieval(images, kept, left_out).limited(None)


def _queries(path: Path) -> list[GalleryQuery]:
    """The file's queries, images by their COCO ids."""
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise DatasetError(f"{path} must be a list of queries. {_LAYOUT}")
    queries, flaws = [], []
    for number, entry in enumerate(content):
        try:
            queries.append(_query(entry))
        except (KeyError, TypeError, ValueError) as error:
            flaws.append(f"query {number}: {_reason(error)}")
    if flaws:
        raise DatasetError(f"{path} has {len(flaws)} queries that cannot be right: {few(flaws)}")
    return queries


def _query(entry: Any) -> GalleryQuery:
    condition = entry["condition"]
    if not isinstance(condition, str) or not condition.strip():
        raise ValueError(f"its condition is {condition!r}, not a text")
    if not isinstance(entry["gallery"], list) or not entry["gallery"]:
        raise ValueError("its gallery is not a list of images")
    reference, target, *gallery = (_image_id(each) for each in (entry["reference"], entry["target"], *entry["gallery"]))
    return GalleryQuery(condition.strip(), reference, target, tuple(gallery))


def _image_id(image: Any) -> int:
    number = image["val_image_id"]
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _LARGEST_ID:
        raise ValueError(f"{number!r} is no id of a COCO image")
    return number


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        # the attribute halves have the same names and other entries
        return f"it has no {error.args[0]!r}; the object halves are what is evaluated, not the attribute halves"
    return str(error)


def _rows(query: GalleryQuery) -> tuple[int, ...]:
    return (query.reference, *query.candidates)


def _moved(query: GalleryQuery, place: Mapping[int, int]) -> GalleryQuery:
    gallery = tuple(place[row] for row in query.gallery)
    return replace(query, reference=place[query.reference], target=place[query.target], gallery=gallery)
