"""`CRLCollection`: the one class a user needs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.criterion import Criterion
from crl_qdrant.embeddings import Float32Array, matrix
from crl_qdrant.encoders import Encoder, load_encoder
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import EmbeddingError, InputError
from crl_qdrant.images import ImageInput
from crl_qdrant.ingest import Item, OnError, Report, Writer
from crl_qdrant.lifecycle import Criteria
from crl_qdrant.manifest import CriterionState, IMAGE_VECTOR, Manifest
from crl_qdrant.points import point_id, PointId
from crl_qdrant.progress import progress_bar
from crl_qdrant.search import Hit
from crl_qdrant.search.query import query_embedding
from crl_qdrant.stores import create_store, Location, open_store, Store, WithPayload

if TYPE_CHECKING:
    from crl_qdrant.search.scan import Scan

__all__ = ["CRLCollection", "CollectionInfo", "CriterionInfo"]

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

    def __init__(self, name: str, store: Store, criteria: Criteria, encoder: BoundEncoder, device: str) -> None:
        self.name = name
        self._store = store
        self._criteria = criteria
        self._encoder = encoder
        self._device = device
        self._write_lock = threading.Lock()
        self._scan: Scan | None = None
        self._scan_lock = threading.Lock()

    @classmethod
    def create(
        cls,
        name: str,
        *,
        location: Location,
        encoder: str | Encoder | None = None,
        dimension: int | None = None,
        device: str = "auto",
    ) -> CRLCollection:
        """A new, empty collection.

        Args:
            name: letters, digits, "_", "-" and ".".
            location: a directory (Qdrant Edge), ":memory:" (gone with the process), the http(s) URL of a Qdrant
                server (its API key is read from QDRANT_API_KEY), or a ready `QdrantClient`.
            encoder: "open_clip:<model>/<pretrained tag or checkpoint path>", "demo", an object with
                `encode_images`, `encode_texts`, `dimension` and `name`; None where you bring all embeddings.
            dimension: d of the embeddings, where there is no encoder.
            device: "auto", "cpu", "cuda" or "cuda:N", for the encoder and for exact search.

        Raises:
            ExistsError: there is a collection of that name.
            InputError: a name, location, device or dimension that cannot be.
            EncoderError: no such encoder, or one that cannot be loaded.
            StoreError: the store cannot be reached or written.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(
                f"a collection's name is letters, digits, '_', '-' or '.', and starts with no '-' or '.'; got {name!r}"
            )
        loaded = None if encoder is None else load_encoder(encoder, device=device)
        if loaded is None and dimension is None:
            raise InputError("without an encoder, say how long your embeddings are: create(…, dimension=512)")
        if loaded is not None and dimension not in (None, loaded.dimension):
            raise InputError(
                f"encoder {loaded.name!r} gives {loaded.dimension} dimensions, not {dimension}; leave dimension out"
            )
        size = loaded.dimension if loaded is not None else dimension
        if isinstance(size, bool) or not isinstance(size, int) or not 2 <= size <= 65_536:
            raise InputError(f"dimension must be from 2 to 65536, got {size!r}")
        manifest = Manifest(loaded.name if loaded else None, size, {})
        bound = BoundEncoder(name, manifest.encoder, size, encoder=loaded, device=device)
        store = create_store(location, name, {IMAGE_VECTOR: size}, manifest.to_entry())
        return cls(name, store, Criteria(name, store, manifest, bound, device), bound, device)

    @classmethod
    def open(
        cls, name: str, *, location: Location, encoder: str | Encoder | None = None, device: str = "auto"
    ) -> CRLCollection:
        """A collection made by `create`; encoder, criteria and state come from it.

        Args:
            name: the collection's name.
            location: as in `create`.
            encoder: needed only where it was an object of yours; otherwise checked against the collection's.
            device: as in `create`.

        Raises:
            NotFoundError: no such collection; the message lists those there are.
            EncoderMismatchError: not the encoder that wrote the collection; the message names both.
            LockedError: another process has the directory open.
            ManifestError: the collection is not one of ours, or was changed by another program.
            StoreError: the store cannot be reached or read.
        """
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
        return cls(name, store, Criteria(name, store, manifest, bound, device), bound, device)

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
        """Let go of the directory or connection. A `QdrantClient` that was passed in stays open."""
        self._scan = None
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
        ids = list(ids)
        if (images is None) == (embeddings is None):
            raise InputError("give either images or embeddings")
        content: Any
        if embeddings is not None:
            content = matrix(embeddings, what="embeddings", rows=len(ids), dimension=self._manifest.dimension)
        else:
            content = list(images or ())
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
                on_written=self._written,
            )
            return writer.write(items, batch_size=batch_size, on_error=on_error, resume=resume, advance=advance)

    def _written(self, ids: Sequence[PointId], embeddings: Float32Array) -> None:
        with self._scan_lock:
            if self._scan is not None:
                self._scan.put(ids, embeddings)

    def delete(self, ids: Iterable[Any]) -> None:
        """Remove points; ids that are not there are no error.

        Raises:
            InputError: something that cannot be an id.
            StoreError: the store refused.
        """
        checked = [point_id(each) for each in ids]
        with self._write_lock:
            self._store.delete(checked)
            with self._scan_lock:
                if self._scan is not None:
                    self._scan.remove(checked)

    def count(self, query_filter: models.Filter | None = None) -> int:
        """Exact number of points, of those that match where a filter is given."""
        return self._store.count(query_filter)

    def info(self) -> CollectionInfo:
        """What the collection holds, read from the store."""
        self.refresh()
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
            self._criteria.drop(name)

    def optimize(self) -> None:
        """Build the engine's indexes now: Qdrant Edge searches exhaustively until then, a server does it by itself."""
        self._store.optimize()

    def refresh(self) -> None:
        """Read the manifest again, after another process has changed the collection's criteria.

        Raises:
            ManifestError: the collection no longer matches what it says of itself.
        """
        self._criteria.refresh()

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
        criterion: str | None = None,
        limit: int = 10,
        query_filter: models.Filter | None = None,
        with_payload: WithPayload = True,
    ) -> list[Hit]:
        """The points most like the query, in the respect of a criterion where one is named.

        A materialised criterion is searched by the engine's index on its named vector; one that is only defined is
        searched exactly, over all embeddings, which are held in memory from then on.

        Args:
            image: the query: path, bytes or PIL image. Instead of it, one of:
            embedding: an image or text embedding [d], any float type and length.
            like: the id of a stored point, which itself is left out of the hits.
            text: a text, embedded by the encoder's text tower.
            criterion: name of a defined criterion; None compares the raw embeddings.
            limit: how many hits, at least 1.
            query_filter: a `qdrant_client.models.Filter` on the payload.
            with_payload: all of the payload, none, or these keys of it.

        Returns:
            At most `limit` hits, best first.

        Raises:
            InputError: none or several of image, embedding, like and text; limit below 1; a filter that the store
                does not have.
            ImageError: the image cannot be read.
            EmbeddingError: an embedding of another dimension, with NaN, or zero; or one that has no part in the
                criterion's words.
            NotFoundError: no such criterion, or no point of that id.
            EncoderError: image or text, and the collection has no encoder.
            StoreError: the store refused or cannot be reached.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InputError(f"limit must be at least 1, got {limit!r}")
        stored = None if criterion is None else self._criteria.find(criterion)
        without = None if like is None else point_id(like)
        query = query_embedding(
            self._store,
            self._encoder,
            self._manifest.dimension,
            image=image,
            embedding=embedding,
            like=without,
            text=text,
        )
        if stored is None:
            return self._nearest(query, IMAGE_VECTOR, limit, query_filter, with_payload, without)
        conditional = self._criteria.project_query(stored, query)
        if not conditional.any():
            raise EmbeddingError(
                f"the query has no part in the words of criterion {criterion!r}, so nothing is nearest to it"
            )
        if stored.state is CriterionState.MATERIALIZED:
            return self._nearest(conditional, stored.criterion.vector_name, limit, query_filter, with_payload, without)
        among = (
            None if query_filter is None else (each for page in self._store.scroll_ids(query_filter) for each in page)
        )
        projection = self._criteria.projection(stored)
        found = self._loaded_scan().search(
            conditional, projection, key=stored.fingerprint, limit=limit, among=among, without=without
        )
        return self._with_payloads(found, with_payload)

    def _nearest(
        self,
        vector: Float32Array,
        using: str,
        limit: int,
        query_filter: models.Filter | None,
        with_payload: WithPayload,
        without: PointId | None,
    ) -> list[Hit]:
        if without is not None:
            own = models.HasIdCondition(has_id=[without])
            query_filter = models.Filter(must=[query_filter] if query_filter else None, must_not=[own])
        found = self._store.query(
            vector, using=using, limit=limit, query_filter=query_filter, with_payload=with_payload
        )
        return [Hit(*point) for point in found]

    def _with_payloads(self, found: list[tuple[PointId, float]], with_payload: WithPayload) -> list[Hit]:
        if with_payload is False:
            return [Hit(found_id, score, None) for found_id, score in found]
        records = self._store.retrieve([found_id for found_id, _ in found], with_payload=with_payload)
        payloads = {record.id: record.payload for record in records}
        # a point that another process removed since the scan was loaded is no hit
        return [Hit(found_id, score, payloads[found_id]) for found_id, score in found if found_id in payloads]

    def _loaded_scan(self) -> Scan:
        from crl_qdrant.device import choose_device
        from crl_qdrant.search.scan import Scan

        with self._scan_lock:  # a batch written meanwhile is put in after the load, so the scan ends up with it
            if self._scan is None:
                scan = Scan(self._manifest.dimension, choose_device(self._device))
                for ids, embeddings in self._store.scroll(vector=IMAGE_VECTOR, batch_size=4096):
                    scan.put(ids, embeddings)
                self._scan = scan
            return self._scan


def _check_distinct(ids: Sequence[Any]) -> None:
    seen: set[PointId] = set()
    for each in map(point_id, ids):
        if each in seen:
            raise InputError(f"id {each!r} stands more than once in ids; each point needs its own")
        seen.add(each)
