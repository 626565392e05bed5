"""`CRLCollection`: the one class a user needs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.checks import whole_number
from crl_qdrant.criterion import Criterion
from crl_qdrant.embeddings import Float32Array, matrix
from crl_qdrant.encoders import Encoder, load_encoder
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import InputError
from crl_qdrant.images import ImageInput
from crl_qdrant.ingest import Writer
from crl_qdrant.items import Item, OnError, Report
from crl_qdrant.lifecycle import Criteria
from crl_qdrant.manifest import CriterionState, IMAGE_VECTOR, Manifest
from crl_qdrant.points import point_id, PointId
from crl_qdrant.progress import progress_bar
from crl_qdrant.search import Hit, Hits, Plan, Query
from crl_qdrant.search.resident import Resident
from crl_qdrant.search.searcher import Searcher
from crl_qdrant.stores import create_store, Location, open_store, Store, WithPayload

__all__ = ["CRLCollection", "CollectionInfo", "CriterionInfo"]

DEFAULT_SCAN_MEMORY: Final = 2 << 30
"""2 GiB: two million embeddings of 512 dimensions."""

_NAME: Final = re.compile(r"\w[\w.-]{0,127}")


@dataclass(frozen=True, slots=True)
class CriterionInfo:
    """A criterion of a collection: its words, the dimensions of its representation, and how many points have it."""

    name: str
    words: Sequence[str]
    prompt: str
    rank: int
    state: CriterionState
    fingerprint: str
    points: int


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What a collection holds."""

    name: str
    points: int
    encoder: str | None
    dimension: int
    criteria: Sequence[CriterionInfo]


class CRLCollection:
    """A collection of images in Qdrant that can be searched by criterion.

    Make one with `create`, come back to it with `open`. It may be used from several threads; writes wait for
    each other. It is a context manager that closes itself.
    """

    def __init__(self, name: str, store: Store, criteria: Criteria, encoder: BoundEncoder, resident: Resident) -> None:
        self.name = name
        self._store = store
        self._criteria = criteria
        self._encoder = encoder
        self._resident = resident
        self._searcher = Searcher(store, criteria, encoder, resident)
        self._write_lock = threading.RLock()  # items may come from a generator that writes too

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
            encoder: "open_clip:<model>/<pretrained tag or checkpoint path>", "demo", an object with
                `encode_images`, `encode_texts`, `dimension` and `name`; None where you bring all embeddings.
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
        manifest = Manifest(loaded.name if loaded else None, size, {})
        bound = BoundEncoder(name, manifest.encoder, size, encoder=loaded, device=device)
        store = create_store(location, name, {IMAGE_VECTOR: size}, manifest.to_entry())
        resident = Resident(store, manifest.dimension, device, scan_memory)
        return cls(name, store, Criteria(name, store, manifest, bound, device), bound, resident)

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
        store = open_store(location, name)
        try:
            manifest = Manifest.read(store.metadata(), store.vector_sizes(), collection=name)
            bound = BoundEncoder(name, manifest.encoder, manifest.dimension, encoder=encoder, device=device)
        except BaseException:
            store.close()
            raise
        resident = Resident(store, manifest.dimension, device, scan_memory)
        return cls(name, store, Criteria(name, store, manifest, bound, device), bound, resident)

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
        ids = _listed("ids", ids)
        payloads = None if payloads is None else _listed("payloads", payloads)
        if (images is None) == (embeddings is None):
            raise InputError("give either images or embeddings")
        content: Any
        if embeddings is not None:
            content = matrix(embeddings, what="embeddings", rows=len(ids), dimension=self._manifest.dimension)
        else:
            content = _listed("images", images)
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
                dimension=self._manifest.dimension,
                criterion_vectors=self._criteria.vectors,
                on_written=self._resident.put,
            )
            return writer.write(items, batch_size=batch_size, on_error=on_error, resume=resume, advance=advance)

    def delete(self, ids: Iterable[Any]) -> None:
        """Remove points; ids that are not there are no error.

        Raises:
            InputError: something that cannot be an id.
            StoreError: the store refused.
        """
        checked = [point_id(each) for each in _listed("ids", ids)]
        with self._write_lock:
            self._store.delete(checked)
            self._resident.remove(checked)

    def count(self, query_filter: models.Filter | None = None) -> int:
        """Exact number of points, of those that match where a filter is given."""
        return self._store.count(query_filter)

    def info(self) -> CollectionInfo:
        """What the collection holds, read from the store."""
        self._criteria.refresh()
        criteria = []
        for stored in self._manifest.criteria.values():
            criterion = stored.criterion
            present = models.Filter(must=[models.HasVectorCondition(has_vector=criterion.vector_name)])
            points = self._store.count(present) if stored.has_vector else 0
            criteria.append(
                CriterionInfo(
                    criterion.name,
                    criterion.words,
                    criterion.prompt,
                    stored.rank,
                    stored.state,
                    stored.fingerprint,
                    points,
                )
            )
        return CollectionInfo(self.name, self.count(), self._manifest.encoder, self._manifest.dimension, criteria)

    # ----------------------------------------------------------------- criteria

    @property
    def criteria(self) -> dict[str, Criterion]:
        """The criteria by name, with their words' embeddings."""
        return {name: stored.criterion for name, stored in self._manifest.criteria.items()}

    def criterion(self, name: str) -> Criterion:
        """One criterion, with its words' embeddings.

        Raises:
            NotFoundError: no such criterion; the message lists those there are.
        """
        return self._criteria.find(name).criterion

    def define(self, criterion: Criterion) -> None:
        """Keep a criterion with the collection; it can be searched by at once. Defining the same again is no change.

        Raises:
            ExistsError: a materialised criterion of that name has other words, prompt, options or embeddings.
            CriterionError: the words' embeddings all point the same way, so nothing can be told apart by them.
            EmbeddingError: the criterion brings embeddings of another dimension.
            EncoderError: it brings none, and the collection has no encoder.
            StoreError: the store refused.
        """
        if not isinstance(criterion, Criterion):
            raise InputError(f"define takes a Criterion, got {type(criterion).__name__}")
        with self._write_lock:
            self._criteria.define(criterion)

    def materialize(self, name: str, *, batch_size: int = 1024, progress: bool | None = None) -> int:
        """Write a criterion's conditional representations as the named vector `crl_<name>`, for fast search.

        Only points that lack the vector are written, so it can be stopped and repeated at any time; repeating it
        also picks up points that another program wrote. Points added from now on get the vector when they are written.

        Args:
            name: a defined criterion.
            batch_size: points in one write.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            How many points were written.

        Raises:
            NotFoundError: no such criterion.
            InputError: batch_size below 1.
            StoreError: the store refused; what was written stays, and the criterion is searched exactly meanwhile.
        """
        with self._write_lock, progress_bar(f"materialising {name}", show=progress) as advance:
            return self._criteria.materialize(name, batch_size=batch_size, advance=advance)

    def drop_criterion(self, name: str) -> None:
        """Forget a criterion, and remove its named vector where it has one.

        Raises:
            NotFoundError: no such criterion.
            StoreError: the store refused.
        """
        with self._write_lock:
            self._resident.forget_criterion(self._criteria.drop(name))

    def optimize(self) -> None:
        """Build the engine's indexes now: Qdrant Edge searches exhaustively until then, a server does it by itself."""
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
        stored = None if criterion is None else self._criteria.find(criterion)
        named = stored is not None and stored.state is CriterionState.MATERIALIZED
        vector = stored.criterion.vector_name if stored is not None and named else IMAGE_VECTOR
        ids: list[PointId] = []
        pages: list[Float32Array] = []
        for page_ids, rows in self._store.scroll(vector=vector, query_filter=query_filter):
            ids += page_ids
            pages.append(rows if stored is None or named else self._criteria.project(stored, rows))
        width = self._manifest.dimension if stored is None else stored.rank
        return ids, np.concatenate(pages) if pages else np.empty((0, width), dtype=np.float32)

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

    def search_batch(self, queries: Sequence[Query]) -> list[Hits]:
        """The hits of many queries: one round trip to the engine, one pass over the embeddings for each criterion.

        Images are embedded together, and texts. A point that several queries find may have one payload object in all.

        Args:
            queries: each a `Query` with the arguments of `search`.

        Raises:
            InputError: something that is no `Query`; and all that `search` raises, for the first query that fails.
        """
        for query in queries:
            if not isinstance(query, Query):
                raise InputError(f"search_batch takes Query objects, got {type(query).__name__}")
        return self._searcher.run_batch(queries)

    def explain_plan(self, query: Query) -> Plan:
        """How a query would be answered, and why, without answering it; raises as `search` for its arguments."""
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
            **options: further arguments of `search`: like, text, modifier, explain, ….

        Raises:
            InputError: no candidates; and all that `search` raises.
        """
        ids = [point_id(each.id if isinstance(each, Hit) else each) for each in candidates]
        if not ids:
            raise InputError("there are no candidates to rerank")
        query = Query(image=image, criterion=criterion, limit=limit or len(ids), **options)
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
            sample: how many points to ask for.
            limit, oversample: as in `search`.

        Returns:
            Recall in [0, 1]; 1.0 for an empty collection.

        Raises:
            NotFoundError: no such criterion.
            InputError: the exact answer cannot be had: the criterion is not materialised and the scan does not fit.
        """
        exactly = models.SearchParams(exact=True)
        rows = self._resident.sample()[:sample]
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


def _listed(what: str, values: Any) -> list[Any]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{what} is a list, got {values!r:.80}")
    return list(values)


def _check_distinct(ids: Sequence[Any]) -> None:
    seen: set[PointId] = set()
    for each in map(point_id, ids):
        if each in seen:
            raise InputError(f"id {each!r} stands more than once in ids; each point needs its own")
        seen.add(each)
