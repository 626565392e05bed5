"""Analysis of a collection by its criteria: inspect, ablate, tag, cluster, label, train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.analysis.ablation import ablate, Ablation
from crl_qdrant.analysis.clustering import cluster, Clustering
from crl_qdrant.analysis.composed import Composed, ComposedOptions, Items, measure_composed, Samples
from crl_qdrant.analysis.few_shot import few_shot, FewShot, Unlabelled
from crl_qdrant.analysis.fields import check_free, Field, write_field
from crl_qdrant.analysis.heads import HeadReport, train_head
from crl_qdrant.analysis.inspection import inspect, Inspection
from crl_qdrant.analysis.labels import label_text, labelled_points, Labels
from crl_qdrant.analysis.sample import draw
from crl_qdrant.analysis.tagging import tag, TagOptions
from crl_qdrant.collection.content import Content
from crl_qdrant.common.arrays import Float32Array, unit_rows
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.errors import InputError
from crl_qdrant.stores import WithPayload

__all__ = ["Analysis"]


class Analysis(Content):
    """The part of a collection that uses criteria for more than search."""

    def inspect(
        self,
        name: str,
        *,
        sample: int = 1000,
        top: int = 1,
        examples: int = 8,
        seed: int = 0,
        with_payload: WithPayload = True,
    ) -> Inspection:
        """Inspect a criterion: which of its words are used, by which items, and its overlap with other criteria.

        Args:
            name: a defined criterion.
            sample: number of items to look at, drawn at random.
            top: words of an item: a word fires for it if it is among these, and more than average.
            examples: items to name for each word, at most.
            seed: of the random choice.
            with_payload: of the examples, as in `search`.

        Raises:
            NotFoundError: if there is no such criterion.
            InputError: if a number is out of range.
            StoreError: if the store refuses.
        """
        return inspect(
            self._store,
            self._criteria,
            name,
            sample=sample,
            top=top,
            examples=examples,
            seed=seed,
            with_payload=with_payload,
        )

    def tag(
        self,
        name: str,
        *,
        query_filter: models.Filter | None = None,
        top: int = 1,
        min_score: float = 0.5,
        field: str | None = None,
        overwrite: bool = False,
        batch_size: int = 1024,
        progress: bool | None = None,
    ) -> int:
        """Write each item's word of a criterion to its payload, for filters: {"crl": {"fabric": "denim"}}.

        `crl.fabric_score` beside it is how far the tag is to be trusted, from 0 to 1. It is calibrated for each word on
        the collection's own images, without labels. An item whose score is below `min_score` gets no tag: what it is
        in this respect is unknown.

        Nothing else in the payload changes. Only differences are written, so tagging can be interrupted and repeated.
        Tags stay, under their name, when the criterion is renamed or dropped.

        Args:
            name: a defined criterion.
            query_filter: tag only these points.
            top: words of an item, at most; with more than one, word and score are lists, the word to show first.
            min_score: from 0 (a tag for every item) to 1; words with a lower score are left out.
            field: the payload field to write to, named as in filters ("crl.material"); None: the criterion's name below
                `crl`. The score goes beside it, with `_score` added to the name.
            overwrite: write to a field outside `crl` although it has values that the product did not write.
            batch_size: points in one write.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            The number of points written.

        Raises:
            NotFoundError: if there is no such criterion.
            InputError: if a number or field is invalid, the field has values of yours, or a point has something other
                than an object in place of the field's parent.
            StoreError: if the store refuses; tags written so far stay.
        """
        options = TagOptions(top, min_score, field, overwrite, batch_size)
        with self._write_lock, progress_bar(f"tagging by {name}", show=progress) as advance:
            return tag(
                self._store,
                self._criteria,
                self._resident,
                name,
                options,
                query_filter=query_filter,
                advance=advance,
            )

    def ablate(
        self, name: str, labels: str, *, sample: int = 1000, seed: int = 0, progress: bool | None = None
    ) -> Ablation:
        """Measure every preset, and some single options, of a criterion on labels; nothing is changed.

        The measure is leave-one-out mAP of finding items of the same label. Standard errors of differences come from
        random halves of the items.

        Args:
            name: a defined criterion.
            labels: the payload field with the labels; items without one are left out.
            sample: number of items to compare, drawn at random; time grows with its square.
            seed: of the random choices.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            Every variant's mAP, best first, and `recommended` among them.

        Raises:
            NotFoundError: if there is no such criterion.
            InputError: if no items have labels, too few share one, or labels are lists.
            StoreError: if the store refuses.
        """
        with progress_bar(f"measuring {name}", show=progress) as advance:
            return ablate(self._store, self._criteria, name, labels, sample=sample, seed=seed, advance=advance)

    def measure_composed(
        self,
        same: str,
        other: str,
        *,
        criterion: str | None = None,
        values: Mapping[str, str] | None = None,
        template: str = "a {value}",
        embeddings: Mapping[str, npt.ArrayLike] | None = None,
        limit: int = 250,
        seed: int = 0,
        weights: Iterable[float] = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0),
        sample: int = 20_000,
    ) -> Composed:
        """Measure composed search on labels, "the same A, but another B", to choose `criterion_weight` for a shop.

        Each query is a stored item and a text of another value of B, one that exists with the item's own A. Relevant
        are the items with that A and that B; the query itself is left out. Nothing is changed.

        Args:
            same: the payload field A, which the hits should share with the query ("colour").
            other: the payload field B, which the text names ("type").
            criterion: the criterion that keeps A; None: the one called as the field `same`, or the raw embeddings.
            values: by value of B, the words for it in the text; None: the values themselves, in sorted order.
            template: the text, with {value} for the words.
            embeddings: by value of B, the text's embedding [d], instead of the encoder's.
            limit: queries, at most; at least 20.
            seed: of the random choice of queries.
            weights: of the criterion beside the text.
            sample: items to search among, at most, drawn at random.

        Returns:
            Mean average precision and precision of the first ten by the image, the criterion and the text alone and by
            each weight, with standard errors; and the recommended weight.

        Raises:
            NotFoundError: if there is no such criterion.
            InputError: if a number is invalid, a label is a list or an object, or there are fewer than 20 queries.
            EncoderError: if the collection has no encoder and embeddings are not given, or it fails.
            StoreError: if the store refuses.
        """
        options = ComposedOptions(limit, seed, tuple(weights), sample)
        if criterion is None and same in self._criteria.manifest.criteria:
            criterion = same
        space = self._criteria.space(criterion)
        drawn = draw(self._store, self._manifest.raw, options.sample, seed=seed, with_payload=[same, other])
        kept, changed = ([label_text(payload, field) for payload in drawn.payloads] for field in (same, other))
        texts = self._texts_of(changed, values, template, embeddings)
        sampled = self._resident.sample()
        represented = None if criterion is None else space.represent(drawn.embeddings)
        return measure_composed(
            (same, other, criterion),
            Items(kept, changed, drawn.embeddings, represented),
            texts,
            Samples(sampled, space.represent(sampled)),
            options,
        )

    def _texts_of(
        self,
        labels: Iterable[str | None],
        values: Mapping[str, str] | None,
        template: str,
        embeddings: Mapping[str, npt.ArrayLike] | None,
    ) -> dict[str, Float32Array]:
        """By value, the embedding of the text that names it."""
        if embeddings is not None:
            what = "the values' embeddings"
            rows = unit_rows(
                [*embeddings.values()], what=what, rows=len(embeddings), dimension=self._manifest.dimension
            )
            return dict(zip(embeddings, rows, strict=True))
        if "{value}" not in template:
            raise InputError(f"`template` must have {{value}} in it, got {template!r:.80}")
        words = values or {each: each for each in sorted({label for label in labels if label is not None})}
        texts = [template.replace("{value}", each) for each in words.values()]
        rows = self._encoder.encode_texts(texts, purpose="embed the values' texts")
        return dict(zip(words, rows, strict=True))

    def cluster(
        self,
        criterion: str | None = None,
        k: int | None = None,
        *,
        query_filter: models.Filter | None = None,
        field: str | None = None,
        overwrite: bool = False,
        seed: int = 0,
        sample: int = 2000,
    ) -> Clustering:
        """Group the items by a criterion: k-means on its representations.

        Args:
            criterion: name of a defined criterion; None groups by the raw embeddings.
            k: number of groups; None: the number from 2 to 20 with the largest silhouette.
            query_filter: which points to group.
            field: the payload field to write each item's group to, named as in filters ("crl.pattern_group"): the
                group's name, or its number by the raw embeddings. The rest of the payload stays.
            overwrite: write to a field outside `crl` although it has values that the product did not write.
            seed: the same seed gives the same groups.
            sample: number of items to measure the silhouette on.

        Returns:
            Each item's group, and the groups, largest first, with their sizes and examples. A group is named by the
            words that it has more of than all items together.

        Raises:
            NotFoundError: if there is no such criterion.
            InputError: if a number or field is invalid, the field has values of yours, or there are fewer different
                items than groups.
            MissingPackageError: if scikit-learn is not installed.
            StoreError: if the store refuses.
        """
        wanted, space = self._free_field(field, overwrite=overwrite), self._criteria.space(criterion)
        ids, embeddings = self.representations(query_filter=query_filter)
        found = cluster(space, ids, embeddings, k, seed=seed, sample=sample)
        if wanted is not None:
            with self._write_lock:
                write_field(self._store, self._criteria, wanted, found.ids, [{"": value} for value in found.values()])
        return found

    def few_shot(
        self,
        criterion: str | None,
        examples: Labels,
        *,
        query_filter: models.Filter | None = None,
        abstain: bool = True,
        field: str | None = None,
        overwrite: bool = False,
    ) -> FewShot:
        """Label the other items from a few examples: logistic regression on a criterion's representations.

        Args:
            criterion: name of a defined criterion; None for the raw embeddings.
            examples: labels by id, {17: "striped", 23: "plain"}, or the payload field that holds them for some points.
            query_filter: which points to label, and where to look for the field.
            abstain: leave an item without a label if no example is near; with one example of each label there is
                nothing to tell what is near, and every item gets one.
            field: the payload field to write the labels to, the examples' included, named as in filters
                ("crl.pattern"). `_probability` added to its name is how sure each label is. The rest of the payload
                stays.
            overwrite: write to a field outside `crl` although it has values that the product did not write.

        Returns:
            The most probable label of every other item with its probability, and the share of examples that are
            labelled correctly when they are left out.

        Raises:
            NotFoundError: if there is no such criterion, or no point for one of the examples.
            InputError: if there are no examples or all have the same label, a label is a list or an object, or the
                field is invalid or has values of yours.
            MissingPackageError: if scikit-learn is not installed.
            StoreError: if the store refuses.
        """
        wanted, space = self._free_field(field, overwrite=overwrite), self._criteria.space(criterion)
        known, embeddings = labelled_points(self._store, self._resident, examples, query_filter)
        ids, rows = self.representations(query_filter=query_filter)
        rest = [at for at, point in enumerate(ids) if point not in known]
        others = Unlabelled([ids[at] for at in rest], rows[rest])
        found = few_shot(space, known, embeddings, others, sample=self._resident.sample() if abstain else None)
        if wanted is not None:
            with self._write_lock:
                write_field(self._store, self._criteria, wanted, *found.values())
        return found

    def _free_field(self, field: str | None, *, overwrite: bool) -> Field | None:
        if field is None:
            return None
        found = Field.parse(field)
        check_free(self._store, self._criteria, found, overwrite=overwrite)
        return found

    def train_head(
        self,
        criterion: str,
        labels: Labels,
        *,
        query_filter: models.Filter | None = None,
        out: int = 128,
        hidden: int | None = None,
        epochs: int = 40,
        learning_rate: float = 1e-3,
        validation: float = 0.2,
        seed: int = 0,
        progress: bool | None = None,
    ) -> HeadReport:
        """Train a head on labels of your own: two layers that fit a criterion's representations to them.

        The head becomes part of the criterion if it is better than no head on items that it was not trained on.
        Searches use it at once; those of a materialized criterion use it after `materialize` has built the new named
        vector, of `out` dimensions. `describe` still gives the words of the representation in front of the head;
        `explain` does not work, since the head's cosines are no sums over words. `drop_head`, `migrate` and `define`
        with other words or options remove the head.

        Args:
            criterion: name of a defined criterion.
            labels: the payload field with the labels, or labels by id. Items of one label should be near.
            query_filter: the points to look for the field in.
            out: dimensions of the head's output.
            hidden: dimensions of its hidden layer; None: the mean of its input's and its output's.
            epochs: of 10,000 triplets each, at most; training stops after ten without improvement.
            learning_rate: of the first epochs.
            validation: share of each label's items that is held out to measure the head.
            seed: the same gives the same head on the same device.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            mAP of the held-out items by the raw embeddings, by the criterion and with the head, and more.

        Raises:
            NotFoundError: if there is no such criterion, or no point for one of the ids.
            InputError: if fewer than two labels have four items each, a label is a list or an object, or a number is
                out of range.
            CriterionError: if the criterion was changed meanwhile.
            StoreError: if the store refuses.
        """
        from crl_qdrant.common.device import choose_device
        from crl_qdrant.common.extras import needed

        with needed("torch", "gpu"):
            from crl_qdrant.projection.triplets import TripletSettings

        settings = TripletSettings(out=out, hidden=hidden, epochs=epochs, learning_rate=learning_rate, seed=seed)
        version = self._criteria.latest(criterion)
        known, embeddings = labelled_points(self._store, self._resident, labels, query_filter)
        with progress_bar(f"training {criterion}", show=progress) as advance:
            head, report = train_head(
                version,
                embeddings,
                list(known.values()),
                settings,
                validation=validation,
                device=choose_device(self._device),
                advance=advance,
            )
        if report.kept:
            with self._write_lock:
                self._criteria.set_head(version, head)
        return report

    def drop_head(self, criterion: str) -> None:
        """Remove a criterion's trained head; a materialized criterion keeps it until the next `materialize`.

        Raises:
            NotFoundError: if there is no such criterion.
            StoreError: if the store refuses.
        """
        with self._write_lock:
            self._criteria.refresh()
            self._criteria.set_head(self._criteria.latest(criterion), None)
