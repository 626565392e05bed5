"""`CRLCollection`: the one class a user needs."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.analysis.ablation import ablate, Ablation
from crl_qdrant.analysis.clustering import cluster, Clustering
from crl_qdrant.analysis.few_shot import few_shot, FewShot
from crl_qdrant.analysis.fields import checked_field, write_field
from crl_qdrant.analysis.heads import HeadReport, train_head
from crl_qdrant.analysis.inspection import inspect, Inspection
from crl_qdrant.analysis.labels import labelled_points, Labels
from crl_qdrant.analysis.tagging import tag
from crl_qdrant.collection.info import collection_info, CollectionInfo
from crl_qdrant.common.arguments import listed, whole_number
from crl_qdrant.common.arrays import Float32Array, matrix
from crl_qdrant.common.device import check_device
from crl_qdrant.common.images import ImageInput
from crl_qdrant.common.points import Payload, point_id, PointId
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.criteria.manifest import CriterionState, Manifest, RawVector
from crl_qdrant.criteria.manifest_cache import read_manifest
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.criteria.words import worded
from crl_qdrant.encoders import Encoder, load_encoder
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import Item, OnError, Report
from crl_qdrant.ingestion.migration import drop_previous, Migration, Migrator
from crl_qdrant.ingestion.writer import Writer
from crl_qdrant.search.memory.resident import Resident
from crl_qdrant.search.query import Query
from crl_qdrant.search.results import Hit, Hits, Plan
from crl_qdrant.search.searcher import Searcher
from crl_qdrant.search.space import Space
from crl_qdrant.stores import create_store, Location, open_store, Store, WithPayload
from crl_qdrant.vocabulary import WordSource

__all__ = ["CRLCollection"]

DEFAULT_SCAN_MEMORY: Final = 2 << 30
"""2 GiB: two million embeddings of 512 dimensions."""

_NAME: Final = re.compile(r"\w[\w.-]{0,127}")


class CRLCollection:
    """A collection of images in Qdrant that can be searched by criterion.

    Make one with `create`, come back to it with `open`. It may be used from several threads; writes wait for
    each other. It is a context manager that closes itself.
    """

    def __init__(
        self, name: str, store: Store, criteria: Criteria, encoder: BoundEncoder, resident: Resident, device: str
    ) -> None:
        self.name = name
        self._store = store
        self._device = device
        self._use(criteria, encoder, resident)
        self._write_lock = threading.RLock()  # items may come from a generator that writes too

    def _use(self, criteria: Criteria, encoder: BoundEncoder, resident: Resident) -> None:
        self._criteria = criteria
        self._encoder = encoder
        self._resident = resident
        self._searcher = Searcher(self._store, criteria, encoder, resident)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        location: Location,
        encoder: str | Encoder | None = None,
        dimension: int | None = None,
        device: str = "auto",
        scan_memory: int = DEFAULT_SCAN_MEMORY,
    ) -> CRLCollection:
        """A new, empty collection.

        Args:
            name: letters, digits, "_", "-" and ".".
            location: a directory (Qdrant Edge), ":memory:" (gone with the process), the http(s) URL of a Qdrant
                server (its API key is read from QDRANT_API_KEY), or a ready `QdrantClient`; for `AsyncCRLCollection`
                also an `AsyncQdrantClient`.
            encoder: "open_clip:<model>/<pretrained tag or checkpoint path>", "transformers:<repository or folder>",
                "demo", an object with `encode_images`, `encode_texts`, `dimension` and `name`; None where you bring
                all embeddings.
            dimension: d of the embeddings, where there is no encoder.
            device: "auto", "cpu", "cuda" or "cuda:N", for the encoder and for exact search.
            scan_memory: bytes of the device's memory that exact search may take for the raw embeddings.

        Raises:
            ExistsError: there is a collection of that name.
            InputError: a name, location, device or dimension that cannot be.
            EncoderError: no such encoder, or one that cannot be loaded.
            StoreError: the store cannot be reached or written.
        """
        _check_name(name)
        check_device(device)
        scan_memory = whole_number("scan_memory", scan_memory, least=0)
        loaded = None if encoder is None else load_encoder(encoder, device=device)
        if loaded is None and dimension is None:
            raise InputError("without an encoder, say how long your embeddings are: create(…, dimension=512)")
        if loaded is not None and dimension not in (None, loaded.dimension):
            raise InputError(
                f"encoder {loaded.name!r} gives {loaded.dimension} dimensions, not {dimension}; leave dimension out"
            )
        size = loaded.dimension if loaded is not None else dimension
        size = whole_number("dimension", size, least=2)
        if size > 65_536:
            raise InputError(f"dimension must be at most 65536, got {size}")
        manifest = Manifest(RawVector(loaded.name if loaded else None, size), {})
        bound = BoundEncoder(name, manifest.encoder, size, encoder=loaded, device=device)
        store = create_store(location, name, {manifest.raw.vector: size}, manifest.to_entry())
        resident = Resident(store, manifest.raw, device, scan_memory)
        return cls(name, store, Criteria(name, store, manifest, bound, device), bound, resident, device)

    @classmethod
    def open(
        cls,
        name: str,
        *,
        location: Location,
        encoder: str | Encoder | None = None,
        device: str = "auto",
        scan_memory: int = DEFAULT_SCAN_MEMORY,
    ) -> CRLCollection:
        """A collection made by `create`; encoder, criteria and state come from it.

        Args:
            name: the collection's name.
            location: as in `create`.
            encoder: needed only where it was an object of yours; otherwise checked against the collection's.
            device, scan_memory: as in `create`.

        Raises:
            NotFoundError: no such collection; the message lists those there are.
            EncoderMismatchError: not the encoder that wrote the collection; the message names both.
            LockedError: another process has the directory open.
            ManifestError: the collection is not one of ours, or was changed by another program.
            StoreError: the store cannot be reached or read.
        """
        _check_name(name)
        if isinstance(location, str) and location == ":memory:":
            raise InputError(
                "a ':memory:' collection is gone with the object that create() gave; to come back to one, "
                "make client = QdrantClient(':memory:') and pass location=client to both"
            )
        check_device(device)
        scan_memory = whole_number("scan_memory", scan_memory, least=0)
        store = open_store(location, name)
        try:
            manifest = read_manifest(store, name)
            bound = BoundEncoder(name, manifest.encoder, manifest.dimension, encoder=encoder, device=device)
        except BaseException:
            store.close()
            raise
        resident = Resident(store, manifest.raw, device, scan_memory)
        return cls(name, store, Criteria(name, store, manifest, bound, device), bound, resident, device)

    def __enter__(self) -> CRLCollection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"CRLCollection({self.name!r}, encoder={self._manifest.encoder!r}, criteria={list(self.criteria)})"

    @property
    def _manifest(self) -> Manifest:
        return self._criteria.manifest

    def close(self) -> None:
        """Let go of the directory or connection. A client that was passed in stays open."""
        self._resident.forget()
        self._store.close()

    # ------------------------------------------------------------------ content

    def add(
        self,
        ids: Sequence[Any],
        images: Sequence[ImageInput] | None = None,
        *,
        embeddings: npt.ArrayLike | None = None,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        on_error: OnError = "skip",
        batch_size: int = 128,
        progress: bool | None = None,
    ) -> Report:
        """Store images or embeddings; points of the same id are replaced. Materialised criteria are written along.

        Args:
            ids: N different ids: integers from 0 to 2⁶⁴-1, or UUIDs.
            images: N images: path, bytes or PIL image; embedded by the collection's encoder.
            embeddings: instead of images: [N, d], any float type; stored at unit length.
            payloads: N payloads of JSON values.
            on_error: "skip" stores the good items and reports the bad ones, "raise" stops at the first bad one.
            batch_size: items embedded and written at once.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            How many were written, and which were rejected for what reason (an unreadable image, a NaN or zero
            embedding, a payload that is not JSON).

        Raises:
            InputError: lengths that differ, duplicate or impossible ids, neither or both of images and embeddings;
                nothing is stored then. With on_error="raise", the first bad item's error.
            EmbeddingError: embeddings that are not [N, d]; nothing is stored.
            EncoderError: images, and the collection has no encoder.
            StoreError: the store refused a batch; those before it are stored.
        """
        ids = listed("ids", ids)
        payloads = None if payloads is None else listed("payloads", payloads)
        if (images is None) == (embeddings is None):
            raise InputError("give either images or embeddings")
        content: Any
        if embeddings is not None:
            content = matrix(embeddings, what="embeddings", rows=len(ids), dimension=self._manifest.dimension)
        else:
            content = listed("images", images)
            self._encoder.require("embed images")
        for what, values in (("images", content), ("payloads", payloads)):
            if values is not None and len(values) != len(ids):
                raise InputError(f"there are {len(ids)} ids and {len(values)} {what}; each id needs one")
        _check_distinct(ids)
        items = (
            Item(
                id=each,
                image=content[row] if embeddings is None else None,
                embedding=None if embeddings is None else content[row],
                payload=payloads[row] if payloads is not None else None,
            )
            for row, each in enumerate(ids)
        )
        return self._write(items, len(ids), on_error, batch_size, progress, resume=False)

    def ingest(
        self,
        items: Iterable[Item],
        *,
        total: int | None = None,
        on_error: OnError = "skip",
        batch_size: int = 128,
        progress: bool | None = None,
    ) -> Report:
        """Store a catalogue, however long, and go on where an earlier run was stopped.

        Each point keeps a digest of its item's content in the payload (`crl_source`); an item whose digest is
        stored already is left alone, a changed one is written again.

        Args:
            items: any iterable of `Item`, read as it is needed.
            total: how many there are, for the progress bar.
            on_error, batch_size, progress: as in `add`.

        Returns:
            How many items were written, how many were there already, and which were rejected for what reason
            (also an id that stands twice).

        Raises:
            InputError: with on_error="raise", the first bad item's error.
            StoreError: the store refused a batch; those before it are stored.
        """
        return self._write(items, total, on_error, batch_size, progress, resume=True)

    def _write(
        self,
        items: Iterable[Item],
        total: int | None,
        on_error: OnError,
        batch_size: int,
        progress: bool | None,
        *,
        resume: bool,
    ) -> Report:
        with self._write_lock, progress_bar("adding", total=total, show=progress) as advance:
            self._criteria.refresh()  # another process may have materialised a criterion since
            writer = Writer(
                self._store,
                encoder=self._encoder,
                raw=self._manifest.raw,
                criterion_vectors=self._criteria.vectors,
                on_written=self._resident.put,
                on_failed=self._resident.forget,
            )
            return writer.write(items, batch_size=batch_size, on_error=on_error, resume=resume, advance=advance)

    def delete(self, ids: Iterable[Any]) -> None:
        """Remove points; ids that are not there are no error.

        Raises:
            InputError: something that cannot be an id.
            StoreError: the store refused.
        """
        checked = [point_id(each) for each in listed("ids", ids)]
        with self._write_lock:
            try:
                self._store.delete(checked)
            except BaseException:
                self._resident.forget()  # they may be gone all the same
                raise
            self._resident.remove(checked)

    def count(self, query_filter: models.Filter | None = None) -> int:
        """Exact number of points, of those that match where a filter is given."""
        return self._store.count(query_filter)

    def info(self) -> CollectionInfo:
        """What the collection holds, read from the store."""
        self._criteria.refresh()
        return collection_info(self.name, self._store, self._criteria)

    # ----------------------------------------------------------------- criteria

    @property
    def criteria(self) -> dict[str, Criterion]:
        """The criteria by name, with their words' embeddings."""
        return self._manifest.definitions

    def criterion(self, name: str) -> Criterion:
        """One criterion, with its words' embeddings.

        Raises:
            NotFoundError: no such criterion; the message lists those there are.
        """
        return self._criteria.find(name).criterion

    def define(
        self,
        /,
        criterion: Criterion | str,
        words: Sequence[str] | WordSource | None = None,
        *,
        prompt: str | Sequence[str] = "",
        n_words: int | None = None,
        domain: str | None = None,
        anew: bool = False,
        preset: str | None = None,
        **options: Any,
    ) -> Criterion:
        """Keep a criterion with the collection; it can be searched by at once. Defining the same again is no change.

        A criterion that is materialised and is now defined otherwise goes on being searched by as it was, until
        `materialize` has built its new named vector beside the old one and changed over.

        Args:
            criterion: a name, or a ready `Criterion`, which then says all of the following.
            words: its words, or what gives them: a `LanguageModel` or any function of its signature. None: the words
                that the collection has for this name, else a packaged list, else a `LanguageModel()`.
            prompt, preset, options: as in `Criterion`.
            n_words: how many words, of a packaged list or from a language model.
            domain: what the objects are ("women's shoes"); it is said to the language model, which is then asked also
                where there is a packaged list.
            anew: ask again for words that the collection has: a language model is otherwise asked once.

        Returns:
            The criterion as it is kept, with its words' embeddings.

        Raises:
            VocabularyError: a language model is needed, and gives no words.
            CriterionError: words or options that cannot be; the words' embeddings all point the same way, so nothing
                can be told apart by them; a criterion to suppress that is not defined; the mean of the images is
                needed, and there are none.
            EmbeddingError: the criterion brings embeddings of another dimension.
            EncoderError: it brings none, and the collection has no encoder.
            StoreError: the store refused.
        """
        with self._write_lock:
            if isinstance(criterion, str):
                self._criteria.refresh()
                known = self._criteria.latest(criterion).criterion if criterion in self.criteria else None
                criterion = worded(
                    criterion,
                    words,
                    prompt=prompt,
                    n_words=n_words,
                    domain=domain,
                    anew=anew,
                    preset=preset,
                    options=options,
                    known=known,
                    encoder=self._encoder,
                )
            elif not isinstance(criterion, Criterion):
                raise InputError(f"define takes a name or a Criterion, got {type(criterion).__name__}")
            elif words is not None or prompt or n_words or domain or anew or preset or options:
                raise InputError("define takes words, prompt and options with a name; a Criterion has its own")
            return self._criteria.define(criterion)

    def materialize(self, name: str, *more: str, batch_size: int = 1024, progress: bool | None = None) -> int:
        """Write criteria's conditional representations as named vectors `crl_<name>`, for fast search.

        Only points that lack a vector are written, so it can be stopped and repeated at any time; repeating it also
        picks up points that another program wrote. Points added from now on get the vectors when they are written.
        Several criteria in one call are much quicker than in as many calls: each embedding is read once.

        Args:
            name: a defined criterion.
            more: further ones, for the same pass.
            batch_size: points in one write.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            How many points were written.

        Raises:
            NotFoundError: no such criterion.
            InputError: batch_size below 1.
            StoreError: the store refused; what was written stays, and the criteria are searched exactly meanwhile.
        """
        names = [name, *more]
        with self._write_lock, progress_bar(f"materialising {', '.join(map(str, names))}", show=progress) as advance:
            return self._criteria.materialize(names, batch_size=batch_size, advance=advance)

    def drop_criterion(self, name: str) -> None:
        """Forget a criterion, and remove its named vector where it has one.

        Raises:
            NotFoundError: no such criterion.
            StoreError: the store refused.
        """
        with self._write_lock:
            self._criteria.drop(name)

    def rename_criterion(self, name: str, new_name: str) -> None:
        """Give a criterion another name, at once and without writing a point; its named vector keeps its own.

        Raises:
            NotFoundError: no such criterion.
            ExistsError: there is one of the new name.
            CriterionError: a name that cannot be.
            StoreError: the store refused.
        """
        with self._write_lock:
            self._criteria.rename(name, new_name)

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

    def migrate(
        self,
        encoder: str | Encoder,
        images: Callable[[PointId, Payload], ImageInput],
        *,
        dry_run: bool = False,
        on_error: OnError = "raise",
        batch_size: int = 128,
        device: str = "auto",
        progress: bool | None = None,
    ) -> Migration:
        """Move the collection to another encoder: embed every image again beside the old embeddings, then change over.

        Searches go on with the old embeddings until everything is there, criteria included; then one write makes the
        new ones current. Stopped at any time and called again, it goes on where it was. The old embeddings are kept,
        so that `migrate` back to the old encoder is quick, until `drop_previous`. Words are embedded again by the new
        encoder, also those that were brought with embeddings. To search during a migration, use the collection from
        another thread, or `AsyncCRLCollection`. Trained heads are left behind, for the embeddings are others.

        Args:
            encoder: as in `create`. The collection's own: embeds points that lack an embedding.
            images: gives the picture of a point, from its id and its payload.
            dry_run: only say what it would take, by embedding a few; nothing is written.
            on_error: "raise" does not change over while there are points whose picture cannot be embedded, and raises;
                "skip" reports them, and changes over without them: no image finds them from then on.
            batch_size: points embedded and written at once.
            device: where the new encoder computes.
            progress: a bar on the terminal; None: where there is a terminal.

        Raises:
            InputError: another migration is under way, or its predecessor's embeddings are still kept; with
                on_error="raise", points whose picture cannot be embedded: what could be embedded is kept.
            EncoderError: no such encoder, or one that cannot be loaded.
            StoreError: the store refused.
        """
        if on_error not in ("skip", "raise"):
            raise InputError(f'on_error is "skip" or "raise", got {on_error!r}')
        batch_size = whole_number("batch_size", batch_size, least=1)
        loaded = load_encoder(encoder, device=device)
        bound = BoundEncoder(self.name, loaded.name, loaded.dimension, encoder=loaded, device=device)
        with self._write_lock:
            self._criteria.refresh()
        raw = RawVector(loaded.name, loaded.dimension)
        migrator = Migrator(self._store, self._criteria, bound, raw, images, batch_size=batch_size)
        if dry_run:
            return migrator.plan()

        def use() -> None:
            manifest = read_manifest(self._store, self.name)
            resident = Resident(self._store, manifest.raw, self._device, self._resident.scan_memory)
            self._use(Criteria(self.name, self._store, manifest, bound, self._device), bound, resident)

        with progress_bar(f"migrating to {loaded.name}", show=progress) as advance:
            done = migrator.run(skip=on_error == "skip", lock=self._write_lock, advance=advance, use=use)
        if done.rejected and on_error == "raise":
            raise InputError(
                f"{len(done.rejected)} of {done.points} points cannot be embedded, the first: {done.rejected[0]}; "
                'mend or delete them and call migrate again, or leave them behind with on_error="skip"'
            )
        return done

    def drop_previous(self) -> None:
        """Remove the embeddings that the last migration has left, or those of one that is to be given up.

        Raises:
            StoreError: the store refused.
        """
        with self._write_lock:
            self._criteria.refresh()
            drop_previous(self._store, self._criteria)

    def optimize(self, *, progress: bool | None = None) -> None:
        """Build the engine's indexes now: Qdrant Edge searches exhaustively until then, a server does it by itself.

        Qdrant Edge does it in another process, and calls for this collection wait until it is done: some 45 seconds for
        100,000 points on two cores, nothing where nothing has changed. It can be stopped and repeated at any time.

        Args:
            progress: a bar on the terminal; None: where there is a terminal.

        Raises:
            StoreError: the index cannot be built; the points are as they were.
        """
        with self._write_lock, progress_bar("building the index", show=progress):
            self._store.optimize()

    def refresh(self) -> None:
        """Read everything again, after another process has changed the collection: its criteria, and its embeddings.

        Raises:
            ManifestError: the collection no longer matches what it says of itself.
        """
        self._criteria.refresh()
        self._resident.forget()

    def representations(
        self, criterion: str | None = None, *, query_filter: models.Filter | None = None
    ) -> tuple[list[PointId], Float32Array]:
        """Every point's representation, for clustering, evaluation or another index.

        Args:
            criterion: name of a defined criterion; None for the raw embeddings.
            query_filter: a `qdrant_client.models.Filter` on the payload.

        Returns:
            N ids, and float32 [N, r] (the raw embeddings: [N, d]), unit rows, in the same order.

        Raises:
            NotFoundError: no such criterion.
            StoreError: the store refused.
        """
        self._criteria.refresh()
        stored = None if criterion is None else self._criteria.find(criterion)
        named = stored is not None and stored.state is CriterionState.MATERIALIZED
        vector = stored.vector if stored is not None and named else self._manifest.raw.vector
        ids: list[PointId] = []
        pages: list[Float32Array] = []
        for page_ids, rows in self._store.scroll(vector=vector, query_filter=query_filter):
            ids += page_ids
            pages.append(rows if stored is None or named else self._criteria.projector.project(stored, rows))
        width = self._manifest.dimension if stored is None else stored.rank
        return ids, np.concatenate(pages) if pages else np.empty((0, width), dtype=np.float32)

    # -------------------------------------------------------------------- tasks

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
        field, space = checked_field(field), Space.of(self._criteria, criterion)
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
        field, space = checked_field(field), Space.of(self._criteria, criterion)
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
        from crl_qdrant.projection.training import TripletSettings

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

    # ------------------------------------------------------------------- search

    def search(
        self,
        image: ImageInput | None = None,
        *,
        embedding: npt.ArrayLike | None = None,
        like: Any = None,
        text: str | None = None,
        images: Sequence[ImageInput] | None = None,
        unlike: Sequence[Any] | None = None,
        criterion: str | Mapping[str, float] | None = None,
        modifier: str | Sequence[str] | None = None,
        criterion_weight: float = 10.0,
        limit: int = 10,
        offset: int = 0,
        query_filter: models.Filter | None = None,
        with_payload: WithPayload = True,
        score_threshold: float | None = None,
        strategy: str = "auto",
        oversample: int = 10,
        search_params: models.SearchParams | None = None,
        group_by: str | None = None,
        diversity: float = 0.0,
        explain: bool = False,
    ) -> Hits:
        """The points most like the query: overall, in the respect of a criterion, or of several.

        Args:
            image: the query: path, bytes or PIL image. Instead of it, one of:
            embedding: an image or text embedding [d], any float type and length.
            like: the id of a stored point, which itself is left out of the hits.
            text: a text, embedded by the encoder's text tower.
            images: several images; what counts is the mean of their representations.
            unlike: images or ids to be unlike: twice the mean of the above less the mean of these is searched for.
            criterion: name of a defined criterion, or several with weights, {"fabric": 1.0, "colour": -0.5}: the
                weighted sum of their cosines, each standardised over the candidates; a negative weight means unlike
                in that respect. None compares the raw embeddings.
            modifier: how the hits should differ, "with a dog", or several phrasings of it. The score is then
                w·S_criterion + S_modifier, each similarity divided by its norm over the candidates (the paper, C.3).
            criterion_weight: that w; without a criterion it weighs the raw similarity.
            limit: how many hits, at least 1.
            offset: how many hits to skip.
            query_filter: a `qdrant_client.models.Filter` on the payload.
            with_payload: all of the payload, none, or these keys of it.
            score_threshold: hits below this score are left out.
            strategy: "named" (the engine's index, needs a materialised criterion), "scan" (exact, all embeddings in
                memory), "rerank" (exact scores of oversampled candidates; approximate), or "auto", the first of these
                that can be used.
            oversample: candidates for each hit that is asked for, where candidates are scored.
            search_params: `qdrant_client.models.SearchParams` for the engine's index.
            group_by: a payload field; of points with the same value only the best is a hit.
            diversity: from 0 to below 1: how much hits avoid being like each other, in the criterion's own space.
            explain: whether hits say which words they matched on.

        Returns:
            At most `limit` hits, best first; `hits.plan` says how they were found.

        Raises:
            InputError: an argument that cannot be, none or several queries, a strategy that cannot be used, a filter
                that the store does not have.
            ImageError: the image cannot be read.
            EmbeddingError: an embedding of another dimension, with NaN, or zero; or a query that has no part in the
                criterion's words.
            NotFoundError: no such criterion, or no point of that id.
            EncoderError: image, text or modifier, and the collection has no encoder.
            StoreError: the store refused or cannot be reached.
        """
        query = Query(
            image=image,
            embedding=embedding,
            like=like,
            text=text,
            images=images,
            unlike=unlike,
            criterion=criterion,
            modifier=modifier,
            criterion_weight=criterion_weight,
            limit=limit,
            offset=offset,
            query_filter=query_filter,
            with_payload=with_payload,
            score_threshold=score_threshold,
            strategy=strategy,
            oversample=oversample,
            search_params=search_params,
            group_by=group_by,
            diversity=diversity,
            explain=explain,
        )
        return self._searcher.run(query)

    def search_batch(self, queries: Iterable[Query]) -> list[Hits]:
        """The hits of many queries: one round trip to the engine, one pass over the embeddings for each criterion.

        Images are embedded together, and texts. A point that several queries find may have one payload object in all.

        Args:
            queries: each a `Query` with the arguments of `search`.

        Raises:
            InputError: something that is no `Query`; and all that `search` raises, for the first query that fails.
        """
        every = listed("queries", queries)
        for query in every:
            if not isinstance(query, Query):
                raise InputError(f"search_batch takes Query objects, got {type(query).__name__}")
        return self._searcher.run_batch(every)

    def explain_plan(self, query: Query) -> Plan:
        """How a query would be answered, and why, without answering it; raises as `search` for its arguments."""
        if not isinstance(query, Query):
            raise InputError(f"explain_plan takes a Query object, got {type(query).__name__}")
        return self._searcher.plan(query)

    def rerank(
        self,
        /,
        image: ImageInput | None,
        candidates: Iterable[Any],
        *,
        criterion: str | Mapping[str, float] | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> Hits:
        """Someone else's results (a keyword search's, say) in the order of a criterion, scored exactly.

        Args:
            image: the query; None where one of its alternatives is among the options.
            candidates: ids, or hits of an earlier search. Ids that are not in the collection are left out.
            criterion: as in `search`.
            limit: how many hits; None for all candidates.
            **options: further arguments of `search`: like, text, modifier, query_filter, diversity, ….

        Raises:
            InputError: no candidates; and all that `search` raises.
        """
        given = listed("candidates", candidates)
        ids = [point_id(each.id if isinstance(each, Hit) else each) for each in given]
        if not ids:
            raise InputError("there are no candidates to rerank")
        query = Query(image=image, criterion=criterion, limit=len(ids) if limit is None else limit, **options)
        return self._searcher.rerank(query, ids)

    def describe(
        self, /, image: ImageInput | None = None, *, criterion: str, limit: int = 5, **options: Any
    ) -> list[tuple[str, float]]:
        """The words of a criterion that describe an image best: those it is more of than the average item.

        Args:
            image: the image; instead of it embedding=, like= or text=, as in `search`.
            criterion: name of a defined criterion.
            limit: how many words.

        Returns:
            Words, and by how much the image's conditional representation exceeds the collection's average in them.

        Raises:
            NotFoundError: no such criterion; and all that `search` raises for a query.
        """
        return self._searcher.describe(Query(image=image, criterion=criterion, limit=limit, **options), limit)

    def estimate_recall(self, criterion: str, *, sample: int = 50, limit: int = 10, oversample: int = 10) -> float:
        """Share of the exact best hits that the "rerank" strategy finds, over a sample of stored points as queries.

        Args:
            criterion: name of a defined criterion.
            sample: how many points to ask for; more than 1,000 are not asked for.
            limit, oversample: as in `search`.

        Returns:
            Recall in [0, 1]; 1.0 for an empty collection.

        Raises:
            NotFoundError: no such criterion.
            InputError: the exact answer cannot be had: the criterion is not materialised and the scan does not fit.
        """
        space = Space.of(self._criteria, criterion)
        exactly = models.SearchParams(exact=True)
        rows = self._resident.sample()[: whole_number("sample", sample, least=1)]
        rows = rows[space.represent(rows).any(axis=1)]  # what has no part in the words has no nearest point
        common: dict[str, Any] = {"criterion": criterion, "limit": limit, "with_payload": False}
        queries = [Query(embedding=row, search_params=exactly, **common) for row in rows]
        if any(not self._searcher.plan(query).exact for query in queries[:1]):
            raise InputError(
                f"recall needs the exact answer, and {self._searcher.plan(queries[0]).reason}; "
                f"materialize({criterion!r}), or raise scan_memory"
            )
        found = []
        for row, best in zip(rows, self._searcher.run_batch(queries), strict=True):
            hits = self._searcher.run(Query(embedding=row, strategy="rerank", oversample=oversample, **common))
            found.append(len({hit.id for hit in hits} & {hit.id for hit in best}) / max(len(best), 1))
        return float(np.mean(found)) if found else 1.0


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"a collection's name is letters, digits, '_', '-' or '.', and starts with no '-' or '.'; got {name!r}"
        )


def _check_distinct(ids: Sequence[Any]) -> None:
    seen: set[PointId] = set()
    for each in map(point_id, ids):
        if each in seen:
            raise InputError(f"id {each!r} stands more than once in ids; each point needs its own")
        seen.add(each)
