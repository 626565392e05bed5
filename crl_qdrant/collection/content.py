"""The part of a collection that adds, ingests, counts and deletes points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from crl_qdrant.collection.core import Core
from crl_qdrant.common.arguments import listed
from crl_qdrant.common.arrays import Float32Array, matrix_or_rows
from crl_qdrant.common.images import ImageInput
from crl_qdrant.common.points import point_id, PointId
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.criteria.manifest import CriterionState
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.former_ids import stored_ids
from crl_qdrant.ingestion.items import Item, OnError, Report
from crl_qdrant.ingestion.writer import Writer

__all__ = ["Content"]


class Content(Core):
    """Points in and out of a collection."""

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
        """Store images or embeddings; points of the same id are replaced. Materialized criteria are written too.

        Args:
            ids: N different ids: integers from 0 to 2⁶⁴-1, or UUIDs.
            images: N images: path, bytes, open file or PIL image; embedded by the collection's encoder.
            embeddings: instead of images: [N, d], any real type: lists, NumPy, torch, pandas, polars. A row that does
                not fit is rejected alone. Stored at unit length.
            payloads: N payloads of JSON values.
            on_error: "skip" stores the good items and reports the bad ones, "raise" stops at the first bad one.
            batch_size: items embedded and written at once.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            How many were written, and which were rejected for what reason (an unreadable image, a NaN or zero
            embedding, a payload that is not JSON).

        Raises:
            InputError: if lengths differ, ids are duplicate or impossible, or neither or both of images and embeddings
                are given; nothing is stored then. With on_error="raise", the first bad item's error.
            EmbeddingError: if no row of the embeddings fits [N, d]; nothing is stored.
            EncoderError: if images are given and the collection has no encoder.
            StoreError: if the store refuses a batch; those before it are stored.
        """
        ids = listed("ids", ids)
        payloads = None if payloads is None else listed("payloads", payloads)
        if (images is None) == (embeddings is None):
            raise InputError("give either images or embeddings")
        content: Any
        if embeddings is not None:
            content = matrix_or_rows(embeddings, what="embeddings", rows=len(ids), dimension=self._manifest.dimension)
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
        """Store a catalogue, however long, and resume where an earlier run was interrupted.

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
            StoreError: if the store refuses a batch; those before it are stored.
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
            self._criteria.refresh()  # another process may have materialized a criterion since
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
            InputError: if something cannot be an id.
            StoreError: if the store refuses.
        """
        if isinstance(ids, models.Filter):
            raise InputError(
                "`ids` must be a list, got a Filter; find the ids first: ids, _ = representations(query_filter=…)"
            )
        checked = [point_id(each) for each in listed("ids", ids)]
        with self._write_lock:
            try:
                self._store.delete(checked)
            except BaseException:
                self._resident.forget()  # they may be gone all the same
                raise
            self._resident.remove(checked)

    def ids_of_keys(self, keys: Iterable[str]) -> list[PointId]:
        """Return the ids of a shop's keys, those of points stored by an older version among them.

        Args:
            keys: as a catalogue has them; their points need not exist.

        Raises:
            InputError: if a key is not a text.
            StoreError: if the store refuses.
        """
        return stored_ids(self._store, listed("keys", keys))

    def count(self, query_filter: models.Filter | None = None) -> int:
        """Count the points exactly, or those that match a filter."""
        return self._store.count(query_filter)

    def representations(
        self, criterion: str | None = None, *, query_filter: models.Filter | None = None
    ) -> tuple[list[PointId], Float32Array]:
        """Return every point's representation, for clustering, evaluation or another index.

        Args:
            criterion: name of a defined criterion; None for the raw embeddings.
            query_filter: a `qdrant_client.models.Filter` on the payload.

        Returns:
            N ids, and float32 [N, r] (the raw embeddings: [N, d]), unit rows, in the same order.

        Raises:
            NotFoundError: if there is no such criterion.
            StoreError: if the store refuses.
        """
        self._criteria.refresh()
        stored = None if criterion is None else self._criteria.find(criterion)
        named = stored is not None and stored.state is CriterionState.MATERIALIZED
        vector = stored.vector if stored is not None and named else self._manifest.raw.vector
        ids: list[PointId] = []
        pages: list[Float32Array] = []
        for page_ids, rows in self._store.scroll(vector=vector, query_filter=query_filter):
            ids += page_ids
            pages.append(rows if stored is None or named else self._criteria.projector.project(stored.projection, rows))
        width = self._manifest.dimension if stored is None else stored.rank
        return ids, np.concatenate(pages) if pages else np.empty((0, width), dtype=np.float32)


def _check_distinct(ids: Sequence[Any]) -> None:
    seen: set[PointId] = set()
    for each in map(point_id, ids):
        if each in seen:
            raise InputError(f"id {each!r} stands more than once in ids; each point needs its own")
        seen.add(each)
