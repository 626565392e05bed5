"""The paper's four tasks on the demo's catalogue, with nothing to download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from crl_qdrant.common.progress import progress_bar
from crl_qdrant.demo.galleries import change_queries, focus_queries
from crl_qdrant.demo.products import ATTRIBUTES, Product, sample_products
from crl_qdrant.demo.run import CRITERIA, draw
from crl_qdrant.encoders import Encoder
from crl_qdrant.errors import StoreError
from crl_qdrant.evaluation.attribute_retrieval import attribute_projections, projected
from crl_qdrant.evaluation.datasets import AttributeRetrieval, Entries, GalleryRetrieval, LabelledImages
from crl_qdrant.evaluation.embed import embed_images
from crl_qdrant.evaluation.protocols import evaluate_attributes, evaluate_galleries, evaluate_labelled, GalleryModel
from crl_qdrant.evaluation.representation import embed_words
from crl_qdrant.evaluation.tables import Results

__all__ = ["evaluate_demo"]

_SEED: Final = 2025
# what stays the same while another attribute is changed
_CHANGES: Final = {"colour": "silhouette", "silhouette": "colour", "pattern": "count", "count": "pattern"}


def evaluate_demo(
    out: Path,
    encoder: Encoder,
    *,
    number: int = 2000,
    queries: int = 500,
    preset: str = "paper",
    seeds: Sequence[int] = range(20),
    progress: bool | None = None,
) -> Results:
    """Clustering, few-shot, retrieval by attribute and similarity in galleries, raw and by criterion.

    Args:
        out: folder for images and embeddings; a second run uses those that are there.
        encoder: embeds images and words.
        number: products to render.
        preset: how words become a representation, as in `Criterion`.
        queries: of each half of the galleries, and of retrieval by attribute, which ranks the other products.
        seeds: of k-means and of the draws of few-shot classification.
        progress: bars on the terminal; None: where there is a terminal.

    Raises:
        StoreError: if the folder cannot be written.
    """
    products = sample_products(number, seed=_SEED)
    paths = _drawn(products, out / "images", progress)
    images = embed_images(paths, encoder, out, progress=progress)
    labels = {name: tuple(product.attributes()[name] for product in products) for name in ATTRIBUTES}
    # every task asks for the words; they are embedded once
    criteria = {each.name: each.with_options(preset).with_embeddings(embed_words(each, encoder)) for each in CRITERIA}
    halves = {f"focus {name}": (name, focus_queries(products, name, number=queries, seed=_SEED)) for name in ATTRIBUTES}
    halves |= {
        f"change {changed}": (kept, change_queries(products, kept, changed, number=queries, seed=_SEED))
        for changed, kept in _CHANGES.items()
    }
    galleries = GalleryRetrieval(paths, {half: tuple(made) for half, (_, made) in halves.items()})
    by_half = {half: criteria[name] for half, (name, _) in halves.items()}
    projections = attribute_projections(criteria, encoder, images)
    title = "Demo catalogue"
    parts = [
        evaluate_labelled(
            title, LabelledImages(paths, labels), images, criteria, encoder, seeds=seeds, progress=progress
        ),
        evaluate_attributes(
            f"{title}: retrieval by attribute",
            _by_attribute(paths, labels, min(queries, number // 3)),
            list(criteria),
            {"raw": lambda name: images, "CRL": lambda name: projected(images, projections[name])},
            progress=progress,
        ),
        evaluate_galleries(
            f"{title}: conditional similarity", galleries, [GalleryModel(encoder, images)], by_half, progress=progress
        ),
    ]
    tables = tuple(table for part in parts for table in part.tables)
    notes = tuple(note for part in parts for note in part.notes)
    return Results(tables, parts[0].confusions, parts[0].neighbours, notes)


def _drawn(products: Sequence[Product], folder: Path, progress: bool | None) -> tuple[Path, ...]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the evaluation cannot be written to {folder.parent}: {error}") from error
    paths = []
    with progress_bar("rendering products", total=len(products), show=progress) as advance:
        for number, product in enumerate(products):
            paths.append(draw(product, folder, number))
            advance(1)
    return tuple(paths)


def _by_attribute(paths: tuple[Path, ...], labels: dict[str, tuple[str, ...]], queries: int) -> AttributeRetrieval:
    """The first products as queries, all others as candidates of every attribute."""
    rows = np.arange(len(paths), dtype=np.int64)
    entries = {name: Entries(rows, np.unique(values, return_inverse=True)[1]) for name, values in labels.items()}
    return AttributeRetrieval(
        paths,
        {name: Entries(each.rows[:queries], each.values[:queries]) for name, each in entries.items()},
        {name: Entries(each.rows[queries:], each.values[queries:]) for name, each in entries.items()},
    )
