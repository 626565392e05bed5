"""The demo: render a catalogue, store it, search it by criterion, measure, and show it on a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crl_qdrant.analysis.average_precision import mean_average_precision
from crl_qdrant.collection import CRLCollection
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.demo.page import render_page
from crl_qdrant.demo.products import ATTRIBUTES, Product, sample_products
from crl_qdrant.demo.render import render
from crl_qdrant.errors import NotFoundError, StoreError
from crl_qdrant.ingestion.items import Item

__all__ = ["CRITERIA", "DemoResult", "draw", "run_demo"]

# Sentences that no caption of the encoder's training had.
_PROMPTS: Final = {
    "silhouette": "merchandise shaped like a {}",
    "colour": "merchandise whose colour is {}",
    "pattern": "merchandise with a {} surface",
    "count": "merchandise, {} in number",
}
CRITERIA: Final = tuple(
    Criterion(name, [word for phrasings in values.values() for word in phrasings], prompt=_PROMPTS[name])
    for name, values in ATTRIBUTES.items()
)
_SEED: Final = 2025


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Outcome of the demo.

    Attributes:
        precision: per criterion, leave-one-out mAP in [0, 1] of the raw and of the conditional representations.
        page: the page that shows the searches.
    """

    precision: dict[str, tuple[float, float]]
    page: Path


def run_demo(out: Path, *, number: int = 2000, device: str = "auto", progress: bool | None = None) -> DemoResult:
    """Make the demo in a folder; a second run uses the collection that is there.

    Args:
        out: folder for the collection, the images and `index.html`.
        number: products to render.
        device: "auto", "cpu", "cuda" or "cuda:N".
        progress: bars on the terminal; None: where there is a terminal.

    Raises:
        LockedError: if another process has the folder's collection open.
        StoreError: if the folder cannot be written.
    """
    products = sample_products(number, seed=_SEED)
    pictures = out / "images"
    try:
        pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the demo cannot be written to {out}: {error}") from error
    with _collection(f"products-{number}", out / "collection", device) as collection:
        collection.ingest(_items(products, pictures), total=number, progress=progress)
        for criterion in CRITERIA:
            collection.define(criterion)
        collection.materialize(*(criterion.name for criterion in CRITERIA), progress=progress)
        collection.optimize(progress=progress)
        precision = {criterion.name: _precision(collection, criterion.name, products) for criterion in CRITERIA}
        page = out / "index.html"
        page.write_text(render_page(collection, products, precision), encoding="utf-8")
    return DemoResult(precision, page)


def draw(product: Product, folder: Path, number: int) -> Path:
    """A product's image in a folder, rendered unless it is there."""
    path = folder / f"{number:05d}.png"
    if not path.exists():
        draft = path.with_suffix(".tmp")
        render(product).save(draft, format="png")
        draft.rename(path)  # an image under its final name is complete
    return path


def _collection(name: str, location: Path, device: str) -> CRLCollection:
    try:
        return CRLCollection.open(name, location=location, device=device)
    except NotFoundError:
        return CRLCollection.create(name, location=location, encoder="demo", device=device)


def _items(products: Sequence[Product], pictures: Path) -> Iterator[Item]:
    for number, product in enumerate(products):
        path = draw(product, pictures, number)
        yield Item(
            number, image=path, payload={**product.attributes(), "title": product.title, "image": f"images/{path.name}"}
        )


def _precision(collection: CRLCollection, criterion: str, products: Sequence[Product]) -> tuple[float, float]:
    measured = []
    for each in (None, criterion):
        ids, representations = collection.representations(each)
        labels = [products[int(number)].attributes()[criterion] for number in ids]
        measured.append(mean_average_precision(representations, labels))
    return measured[0], measured[1]
