"""The paper's tasks on whole data sets: raw embeddings and conditional representations, by every criterion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from crl_qdrant.analysis.scaling import rescale
from crl_qdrant.common.arrays import Float32Array, unit_or_zero
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.encoders import Encoder
from crl_qdrant.evaluation.attribute_retrieval import attribute_precision
from crl_qdrant.evaluation.clustering import cluster
from crl_qdrant.evaluation.combiner import Combiner
from crl_qdrant.evaluation.datasets import AttributeRetrieval, GalleryRetrieval, LabelledImages
from crl_qdrant.evaluation.few_shot import few_shot, SHOTS
from crl_qdrant.evaluation.metrics import contingency, recall_at, weighted_mean
from crl_qdrant.evaluation.representation import embed_texts, embed_words, represent
from crl_qdrant.evaluation.scores import Score
from crl_qdrant.evaluation.similarity import condition_texts, gallery_ranks, predicted_ranks
from crl_qdrant.evaluation.tables import Confusion, Neighbours, Results, Row, Table

__all__ = ["GalleryModel", "evaluate_attributes", "evaluate_galleries", "evaluate_labelled"]

_QUERIES: Final = 2
_HITS: Final = 6


def evaluate_labelled(
    title: str,
    data: LabelledImages,
    images: Float32Array,
    criteria: Mapping[str, Criterion],
    encoder: Encoder,
    *,
    seeds: Sequence[int] = range(20),
    shots: Sequence[int] = SHOTS,
    scaling: str = "code",
    progress: bool | None = None,
) -> Results:
    """Clustering and few-shot classification by every criterion that there are words for.

    Args:
        title: the data set's name, which the tables' titles begin with.
        data: N images and their labels.
        images: [N, d], unit rows.
        criteria: by the names that the labels have.
        encoder: embeds the words.
        seeds: of k-means and of the draws.
        shots: labelled images of each class; those that a criterion has too few images for are left out, with a note.
        scaling: of R for few-shot classification, see `rescale`.
        progress: a bar on the terminal; None: where there is a terminal.
    """
    clustering, shot_rows, confusions, neighbours, notes = [], [], [], [], []
    total = sum((2 + 3 * len(shots)) * len(seeds) for _ in criteria)
    with progress_bar(title, total=total, show=progress) as advance:
        for name, criterion in criteria.items():
            labels = data.labels[name]
            representation = represent(images, criterion, embed_words(criterion, encoder))
            for method, rows in (("raw", images), ("CRL", unit_or_zero(representation))):
                found = cluster(rows, labels, seeds=seeds, advance=advance)
                clustering.append(Row(name, method, found.scores))
                confusions.append(_confusion(name, method, labels, found.clusters.tolist()))
                neighbours += _neighbours(name, method, data.images, labels, rows)
            smallest = min(Counter(labels).values())
            possible = [number for number in shots if number < smallest]
            if len(possible) < len(shots):
                notes.append(
                    f"{name}: the smallest class has {smallest} images, too few for {max(shots)} shots and a test"
                )
            for method, features in (
                ("raw", rescale(images, "unit")),
                ("raw, standardised", rescale(images, "code" if scaling == "unit" else scaling)),
                ("CRL", rescale(representation, scaling)),
            ):
                accuracy = few_shot(features, labels, shots=possible, seeds=seeds, advance=advance) if possible else {}
                advance((len(shots) - len(possible)) * len(seeds))
                shot_rows.append(Row(name, method, {_shots(number): score for number, score in accuracy.items()}))
    tables = (
        Table(f"{title}: clustering", ("NMI", "ACC", "ARI"), tuple(clustering)),
        Table(f"{title}: few-shot", tuple(map(_shots, shots)), tuple(shot_rows)),
    )
    return Results(tables, tuple(confusions), tuple(neighbours), tuple(notes))


def evaluate_attributes(
    title: str,
    data: AttributeRetrieval,
    attributes: Sequence[str],
    methods: Mapping[str, Callable[[str], Float32Array]],
    *,
    progress: bool | None = None,
) -> Results:
    """Retrieval by attribute, and the mean over all queries, which weighs attributes by how many they have.

    Args:
        title: the table's title.
        data: queries and candidates by attribute, and N images.
        attributes: the ones to evaluate; one without queries is left out.
        methods: by method, a function from an attribute to the representations of all images, [N, r], unit rows.
        progress: a bar on the terminal; None: where there is a terminal.
    """
    names = [name for name in attributes if name in data.queries]
    rows: list[Row] = []
    counts = [len(data.queries[name].rows) for name in names]
    precision: dict[str, list[float]] = {method: [] for method in methods}
    with progress_bar(title, total=len(methods) * sum(counts), show=progress) as advance:
        for name in names:
            queries, candidates = data.queries[name], data.candidates[name]
            for method, represented in methods.items():
                each = represented(name)
                found = attribute_precision(
                    each[queries.rows], queries.values, each[candidates.rows], candidates.values, advance=advance
                )
                precision[method].append(found)
                rows.append(Row(name, method, {"mAP": Score((found,))}))
    # the paper's mean is over all attributes: what is over some of them has another name
    over = "all" if len(names) == len(data.queries) else "these"
    rows += [Row(over, method, {"mAP": Score((weighted_mean(each, counts),))}) for method, each in precision.items()]
    note = f"the raw rows rank by the image embeddings; “{over}” weighs attributes by their queries"
    repeated = [f"{data.repeated} lines of the index files came before and were left out"] if data.repeated else []
    return Results((Table(title, ("mAP",), tuple(rows)),), notes=(note, *repeated))


class GalleryModel(NamedTuple):
    """An encoder with its image embeddings, to search galleries with.

    Attributes:
        encoder: embeds the words and the conditions.
        images: by it, [N, d], unit rows.
        mark: put behind the names of its methods; the paper's is "*" for fine-tuned weights.
        combiner: one more method; None for none.
    """

    encoder: Encoder
    images: Float32Array
    mark: str = ""
    combiner: Combiner | None = None


def evaluate_galleries(
    title: str,
    data: GalleryRetrieval,
    models: Sequence[GalleryModel],
    criteria: Mapping[str, Criterion],
    *,
    normalize: bool = True,
    progress: bool | None = None,
) -> Results:
    """Conditional similarity in galleries; see `gallery_ranks` for the methods.

    Args:
        title: the table's title.
        data: queries by half.
        models: the encoders to search with, each a block of rows.
        criteria: half -> the criterion that its similarity is taken in.
        normalize: scale both similarities over the gallery, as the paper's code does.
        progress: a bar on the terminal; None: where there is a terminal.
    """
    rows = []
    with progress_bar(title, total=len(data.queries) * len(models), show=progress) as advance:
        for half in data.queries:
            for model in models:
                for method, ranks in _gallery_ranks(model, data, half, criteria[half], normalize).items():
                    recalls = {f"R@{k}": Score((recall_at(ranks, k),)) for k in (1, 2, 3)}
                    rows.append(Row(half, method, recalls))
                advance(1)
    notes = ["“raw” is CRL's score with image embeddings in the place of conditional representations"]
    if data.left_out:
        notes.append(f"{data.left_out} queries with a gallery of another size were left out")
    return Results((Table(title, ("R@1", "R@2", "R@3"), tuple(rows)),), notes=tuple(notes))


def _gallery_ranks(
    model: GalleryModel, data: GalleryRetrieval, half: str, criterion: Criterion, normalize: bool
) -> dict[str, list[int]]:
    """The targets' ranks by each method of a model."""
    encoder, images, mark, combiner = model
    queries = data.queries[half]
    conditions = list(dict.fromkeys(query.condition for query in queries))
    texts = embed_texts([text for each in conditions for text in condition_texts(each)], encoder)
    by_condition = dict(zip(conditions, np.split(texts, len(conditions)), strict=True))
    conditional = unit_or_zero(represent(images, criterion, embed_words(criterion, encoder)))
    ranks = gallery_ranks(queries, images, conditional, by_condition, normalize=normalize)
    found = {f"{method}{mark}": each for method, each in ranks.items()}
    if combiner is not None:
        references = [data.images[query.reference] for query in queries]
        predictions = combiner.queries(references, [query.condition for query in queries])
        found["Combiner"] = predicted_ranks(queries, images, predictions)
    return found


def _shots(number: int) -> str:
    return "1 shot" if number == 1 else f"{number} shots"


def _confusion(name: str, method: str, labels: Sequence[str], clusters: Sequence[int]) -> Confusion:
    from scipy.optimize import linear_sum_assignment

    classes, counts = contingency(labels, clusters)
    own, matched = linear_sum_assignment(counts, maximize=True)
    order = dict(zip(own.tolist(), matched.tolist(), strict=True))
    columns = [order[each] for each in range(len(classes)) if each in order]
    return Confusion(name, method, tuple(classes), counts[:, columns])


def _neighbours(
    name: str, method: str, images: Sequence[Path], labels: Sequence[str], rows: Float32Array
) -> list[Neighbours]:
    """The nearest images of a few queries spread over the data, without the query itself."""
    shown = []
    for query in np.linspace(0, len(images) - 1, _QUERIES + 2).astype(int)[1:-1].tolist():
        scores = rows @ rows[query]
        scores[query] = -np.inf
        nearest = np.argsort(-scores, kind="stable")[:_HITS].tolist()
        hits = tuple((images[each], labels[each] == labels[query]) for each in nearest)
        shown.append(Neighbours(name, method, images[query], hits))
    return shown
