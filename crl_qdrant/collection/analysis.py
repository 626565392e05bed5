"""A collection looked into, tagged, grouped and labelled by its criteria."""

from __future__ import annotations

from qdrant_client import models

from crl_qdrant.analysis.ablation import ablate, Ablation
from crl_qdrant.analysis.clustering import cluster, Clustering
from crl_qdrant.analysis.few_shot import few_shot, FewShot
from crl_qdrant.analysis.fields import checked_field, write_field
from crl_qdrant.analysis.heads import HeadReport, train_head
from crl_qdrant.analysis.inspection import inspect, Inspection
from crl_qdrant.analysis.labels import labelled_points, Labels
from crl_qdrant.analysis.tagging import tag
from crl_qdrant.collection.content import Content
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.stores import WithPayload

__all__ = ["Analysis"]


class Analysis(Content):
    """What a criterion does beside searching."""

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
        """Look into a criterion: which of its words are used, by which items, and what it shares with others.

        Args:
            name: a defined criterion.
            sample: how many items to look at, drawn at random.
            top: how many words an item has: a word fires for it if it is among these, and more than average.
            examples: how many items to name for each word, at most.
            seed: of the random choice.
            with_payload: of the examples, as in `search`.

        Raises:
            NotFoundError: no such criterion.
            InputError: a number that cannot be.
            StoreError: the store refused.
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
        field: str | None = None,
        batch_size: int = 1024,
        progress: bool | None = None,
    ) -> int:
        """Write the word that each item is most of to its payload, for filters: {"crl": {"fabric": "denim"}}.

        Beside it, `crl.fabric_score` says how much more the item is of it than the average item, as `describe` does.
        Nothing else of the payload is touched. Points that have their tags are left alone, so it can be stopped and
        repeated at any time. A point that is written anew loses its tags: repeat it after `add` and `ingest`. They
        stay, under the name that they had, when the criterion is renamed or dropped.

        Args:
            name: a defined criterion.
            query_filter: tag only these points.
            top: how many words at most; with more than one, word and score are lists, most first.
            field: where below `crl`; None: the criterion's name. A name with a "." is filtered by as `crl."a.b"`.
            batch_size: points in one write.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            How many points were written.

        Raises:
            NotFoundError: no such criterion.
            InputError: a number or field that cannot be, or a payload whose `crl` is something else.
            StoreError: the store refused; what was written stays.
        """
        with self._write_lock, progress_bar(f"tagging by {name}", show=progress) as advance:
            return tag(
                self._store,
                self._criteria,
                self._resident,
                name,
                query_filter=query_filter,
                top=top,
                field=field,
                batch_size=batch_size,
                advance=advance,
            )

    def ablate(
        self, name: str, labels: str, *, sample: int = 1000, seed: int = 0, progress: bool | None = None
    ) -> Ablation:
        """Measure every preset, and some single options, of a criterion on labels; nothing is changed.

        Items are found by items of the same label: leave-one-out mAP. The standard error of a difference is that over
        random halves of the items.

        Args:
            name: a defined criterion.
            labels: the payload field that says which items belong together; those without it are left out.
            sample: how many items to compare, drawn at random; time grows with their square.
            seed: of the random choices.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            Every variant's mAP, best first, and `recommended` among them.

        Raises:
            NotFoundError: no such criterion.
            InputError: no items with labels, or too few of the same; labels that are lists.
            StoreError: the store refused.
        """
        with progress_bar(f"measuring {name}", show=progress) as advance:
            return ablate(self._store, self._criteria, name, labels, sample=sample, seed=seed, advance=advance)

    def cluster(
        self,
        criterion: str | None = None,
        k: int | None = None,
        *,
        query_filter: models.Filter | None = None,
        field: str | None = None,
        seed: int = 0,
        sample: int = 2000,
    ) -> Clustering:
        """Group the items by a criterion: k-means on its representations.

        Args:
            criterion: name of a defined criterion; None groups by the raw embeddings.
            k: how many groups; None: as many, of 2 to 20, as are told apart best by their silhouette.
            query_filter: which points to group.
            field: a payload field to write each one's group to, "crl.pattern_group": the group's name, or its number
                by the raw embeddings. The rest of the payload stays.
            seed: the same gives the same groups.
            sample: items on which the silhouette is measured, and the number of groups is found.

        Returns:
            Each item's group, and the groups, largest first: named by the words that they have more of than all items
            together, with their sizes and examples.

        Raises:
            NotFoundError: no such criterion.
            InputError: a number or field that cannot be, or fewer different items than groups.
            MissingPackageError: scikit-learn is not installed.
            StoreError: the store refused.
        """
        field, space = checked_field(field), self._criteria.space(criterion)
        ids, embeddings = self.representations(query_filter=query_filter)
        found = cluster(space, ids, embeddings, k, seed=seed, sample=sample)
        if field is not None:
            with self._write_lock:
                write_field(self._store, field, found.ids, [{"": value} for value in found.values()])
        return found

    def few_shot(
        self,
        criterion: str | None,
        examples: Labels,
        *,
        query_filter: models.Filter | None = None,
        field: str | None = None,
    ) -> FewShot:
        """Label the rest of the items from a few examples: logistic regression on a criterion's representations.

        Args:
            criterion: name of a defined criterion; None for the raw embeddings.
            examples: labels by id, {17: "striped", 23: "plain"}, or the payload field that some points have them in.
            query_filter: which points to label, and to look for the field in.
            field: a payload field to write the labels to, those of the examples too; `<field>_probability` beside it
                says how sure each one is. The rest of the payload stays.

        Returns:
            The most probable label of every other item, how probable it is, and how many of the examples are
            labelled rightly when they are left out.

        Raises:
            NotFoundError: no such criterion, or no point for one of the examples.
            InputError: no examples, or of one label only; labels that are lists or objects; a field that cannot be.
            MissingPackageError: scikit-learn is not installed.
            StoreError: the store refused.
        """
        field, space = checked_field(field), self._criteria.space(criterion)
        known, embeddings = labelled_points(self._store, self._resident, examples, query_filter)
        ids, rows = self.representations(query_filter=query_filter)
        rest = [at for at, point in enumerate(ids) if point not in known]
        found = few_shot(space, known, embeddings, [ids[at] for at in rest], rows[rest])
        if field is not None:
            with self._write_lock:
                write_field(self._store, field, *found.values())
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
        """Train a head on labels of your own: two layers that make a criterion's representations fit them better.

        The head becomes a part of the criterion where it is better than going without on items that it was not
        trained on. It is searched by at once; a materialised criterion goes on as it was until `materialize` has built
        its new named vector, of `out` dimensions, beside the old one. `describe` goes on telling the words of the
        representation in front of the head; `explain` cannot, since the head's cosines are no sums over words. To
        `define` the criterion otherwise, to `migrate` or to `drop_head` takes the head away.

        Args:
            criterion: name of a defined criterion.
            labels: the payload field with the labels, or labels by id. Items of the same label are to be near.
            query_filter: in which points to look for the field.
            out: dimensions of the head's output.
            hidden: of its hidden layer; None: the mean of those in front of it and behind it.
            epochs: of 10,000 triplets each, at most; training ends after ten that brought nothing.
            learning_rate: of the first epochs.
            validation: share of each label's items that it is not trained on but measured by.
            seed: the same gives the same head on the same device.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            mAP of the validation items by the raw embeddings, by the criterion and with the head, and what was done.

        Raises:
            NotFoundError: no such criterion, or no point for one of the ids.
            InputError: no labels, fewer than two with four items each, or some that are lists or objects; a number
                that cannot be.
            CriterionError: the criterion was changed meanwhile.
            StoreError: the store refused.
        """
        from crl_qdrant.common.device import choose_device
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
        """Take a criterion's trained head away; a materialised one goes on as it was until the next `materialize`.

        Raises:
            NotFoundError: no such criterion.
            StoreError: the store refused.
        """
        with self._write_lock:
            self._criteria.refresh()
            self._criteria.set_head(self._criteria.latest(criterion), None)
