"""Items -> points: decode, embed, project, write; in batches, resumable, a bad item never costs a good one."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import auto, Enum
from typing import Any, Final, TypeAlias

import numpy as np

from crl_qdrant.common.arguments import whole_number
from crl_qdrant.common.arrays import Float32Array, unit_vector
from crl_qdrant.common.batches import batches
from crl_qdrant.common.images import update_digest
from crl_qdrant.common.points import checked_payload, Payload, point_id, PointId
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.manifest import RawVector
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import CRLError, EncoderError, InputError
from crl_qdrant.ingestion.former_ids import items_with_stored_ids
from crl_qdrant.ingestion.items import Item, OnError, Rejected, Report, SOURCE_KEY
from crl_qdrant.ingestion.pictures import ImageEmbedder
from crl_qdrant.stores import Store

__all__ = ["Writer"]

_LOG: Final = logging.getLogger("crl_qdrant")


class _Known(Enum):
    UNCHANGED = auto()  # the item is stored already, with the same content


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An item ready to be written, but for the embedding of its image, which is preprocessed for the encoder."""

    id: PointId
    payload: Payload
    image: Any
    embedding: Float32Array | None  # None: comes from the image
    key: str | None
    replaces: bool  # a stored point


_Outcome: TypeAlias = "_Prepared | _Known | CRLError"


class Writer:
    """Writes items to a store with the raw vector and every given criterion's vector in one upsert.

    Args:
        store: where points are written.
        encoder: embeds images.
        raw: the raw vectors' name and dimension.
        criterion_vectors: the other named vectors of points with these ids and embeddings [B, d], unit rows.
        on_written: called after each batch with its ids and embeddings [B, d], unit rows.
        on_failed: called where a batch may be written, or not: the store refused, or was interrupted.
    """

    def __init__(
        self,
        store: Store,
        *,
        encoder: BoundEncoder,
        raw: RawVector,
        criterion_vectors: Callable[[Sequence[PointId], Float32Array], Mapping[str, Float32Array]],
        on_written: Callable[[Sequence[PointId], Float32Array], None],
        on_failed: Callable[[], None],
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._images = ImageEmbedder(encoder, raw.dimension, purpose="embed images")
        self._raw = raw
        self._criterion_vectors = criterion_vectors
        self._on_written = on_written
        self._on_failed = on_failed

    def write(
        self,
        items: Iterable[Item],
        *,
        batch_size: int,
        on_error: OnError,
        resume: bool,
        advance: Advance,
    ) -> Report:
        """Write all items; the next batch is read and decoded in threads while this one is embedded.

        Args:
            items: any iterable, read as it is needed.
            batch_size: items in one upsert.
            on_error: "skip" reports an item that cannot be stored and continues; "raise" stops at the first one,
                after writing those before it.
            resume: leave out items that are stored already with the same content.
            advance: moves the progress bar on.

        Raises:
            InputError: if `on_error` or `batch_size` is out of range; with on_error="raise" the first item's own error.
            StoreError: if the store refuses a batch; those before it are stored.
        """
        if on_error not in ("skip", "raise"):
            raise InputError(f'`on_error` must be "skip" or "raise", got {on_error!r}')
        batch_size = whole_number("batch_size", batch_size, least=1)
        report = Report()
        seen: set[PointId] = set()
        with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
            try:
                for batch in _one_ahead(
                    self._submit(pool, batch, seen, resume) for batch in batches(items, batch_size)
                ):
                    self._write_batch(batch, report, on_error)
                    advance(len(batch))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if report.rejected:
            number = report.written + report.unchanged + len(report.rejected)
            _LOG.warning(
                "%d of %d items were rejected, the first: %s", len(report.rejected), number, report.rejected[0]
            )
        return report

    def _submit(
        self, pool: ThreadPoolExecutor, batch: list[Item], seen: set[PointId], resume: bool
    ) -> list[tuple[Item, Future[_Outcome] | _Outcome]]:
        for item in batch:
            if not isinstance(item, Item):
                raise InputError(f"`items` must be Item objects, got {type(item).__name__}")
        if resume:
            batch = items_with_stored_ids(self._store, batch)
        claims = [_claim(item, seen) for item in batch]
        stored = self._stored_digests(claims) if resume else None
        submitted: list[tuple[Item, Future[_Outcome] | _Outcome]] = []
        for item, claim in zip(batch, claims, strict=True):
            if item.embedding is not None:
                # checked in less time than it takes to hand it to a thread
                submitted.append((item, self._prepare(item, claim, stored)))
            else:
                submitted.append((item, pool.submit(self._prepare, item, claim, stored)))
        return submitted

    def _stored_digests(self, claims: Sequence[PointId | InputError]) -> dict[PointId, Any]:
        ids = [claim for claim in claims if not isinstance(claim, InputError)]
        records = self._store.retrieve(ids, with_payload=[SOURCE_KEY])
        return {record.id: (record.payload or {}).get(SOURCE_KEY) for record in records}

    def _prepare(self, item: Item, claim: PointId | InputError, stored: Mapping[PointId, Any] | None) -> _Outcome:
        return self._images.attempt(lambda: self._checked(item, claim, stored))

    def _checked(
        self, item: Item, claim: PointId | InputError, stored: Mapping[PointId, Any] | None
    ) -> _Prepared | _Known:
        if isinstance(claim, InputError):
            raise claim
        if item.error is not None:
            raise item.error
        payload = checked_payload(item.payload)
        payload.pop(SOURCE_KEY, None)  # a payload that came out of a hit speaks of what was stored then
        embedding = None
        if item.embedding is not None:
            embedding = unit_vector(item.embedding, what="the embedding", dimension=self._raw.dimension)
        elif item.image is None:
            raise InputError("there is neither an image nor an embedding")
        elif not self._encoder.exists:
            raise EncoderError("the collection has no encoder, so images cannot be embedded; give the embedding")
        if stored is not None:
            digest = _digest(item, payload, embedding)
            if stored.get(claim) == digest:
                return _Known.UNCHANGED
            payload[SOURCE_KEY] = digest
        image = None
        if embedding is None and item.image is not None:
            image = self._images.prepare(item.image)
        return _Prepared(claim, payload, image, embedding, item.key, replaces=stored is not None and claim in stored)

    def _write_batch(
        self, batch: list[tuple[Item, Future[_Outcome] | _Outcome]], report: Report, on_error: OnError
    ) -> None:
        ready: list[_Prepared] = []
        stop: CRLError | None = None
        for item, pending in batch:
            outcome = pending.result() if isinstance(pending, Future) else pending
            if outcome is _Known.UNCHANGED:
                report.unchanged += 1
            elif isinstance(outcome, _Prepared):
                ready.append(outcome)
            elif on_error == "raise":
                stop = outcome
                break
            else:
                report.rejected.append(Rejected(item.id, outcome, item.key))
        if ready:
            stop = self._upsert(ready, report, on_error) or stop
        if stop is not None:
            raise stop

    def _upsert(self, ready: list[_Prepared], report: Report, on_error: OnError) -> CRLError | None:
        """Embed and write; an image without an embedding is rejected, or its error given back where that stops all."""
        embeddings = np.empty((len(ready), self._raw.dimension), dtype=np.float32)
        failed: dict[int, EncoderError] = {}
        from_images = [index for index, each in enumerate(ready) if each.embedding is None]
        if from_images:
            embeddings[from_images], errors = self._images.embed([ready[index].image for index in from_images])
            failed = {from_images[at]: error for at, error in errors.items()}
        for index, each in enumerate(ready):
            if each.embedding is not None:
                embeddings[index] = each.embedding
        stop: CRLError | None = None
        usable = np.ones(len(ready), dtype=bool)
        for at, error in sorted(failed.items()):
            if on_error == "raise":
                usable[at:] = False
                stop = error
                break
            usable[at] = False
            report.rejected.append(Rejected(ready[at].id, error, ready[at].key))
        ready = [each for each, good in zip(ready, usable, strict=True) if good]
        if not ready:
            return stop
        embeddings = embeddings[usable]
        ids = [each.id for each in ready]
        vectors = {self._raw.vector: embeddings, **self._criterion_vectors(ids, embeddings)}
        try:
            self._store.upsert(ids, vectors, [each.payload for each in ready])
        except BaseException:
            self._on_failed()
            raise
        self._on_written(ids, embeddings)
        report.written += len(ready)
        report.replaced += sum(each.replaces for each in ready)
        return stop


def _claim(item: Item, seen: set[PointId]) -> PointId | InputError:
    """Return the item's id, or the error where it cannot be one or an earlier item has it."""
    if item.id is None:
        return InputError("it has no id; where it comes from a table, its key is empty")
    try:
        claimed = point_id(item.id)
    except InputError as error:
        return error
    if claimed in seen:
        called = f"id {claimed}" if item.key is None else f"key {item.key}"
        return InputError(f"{called} stands more than once among the items; the first one counts")
    seen.add(claimed)
    return claimed


def _digest(item: Item, payload: Payload, embedding: Float32Array | None) -> str:
    content = hashlib.sha256(json.dumps(payload, sort_keys=True).encode())
    if embedding is not None:
        content.update(embedding.tobytes())
    elif item.image is not None:
        update_digest(content.update, item.image)
    return content.hexdigest()[:32]


def _one_ahead(prepared: Iterator[Any]) -> Iterator[Any]:
    """Yield the batches, each requested before the previous one is used, so that its threads are already at work."""
    waiting: deque[Any] = deque()
    for batch in prepared:
        waiting.append(batch)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting
