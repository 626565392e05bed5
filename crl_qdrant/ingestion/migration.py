"""To another encoder without downtime: every image embedded again beside the old embeddings, then one change-over.

The new raw vectors, and every materialized criterion over them, are written as further named vectors of the same
points. Searches use the old ones until a single write of the manifest makes the new ones current; the old ones stay
until they are dropped. What is done is seen from what points have, so it can be stopped and called again at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from qdrant_client import models

from crl_qdrant.common.batches import batches
from crl_qdrant.common.images import ImageInput
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.build import embedded_words, version_of
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.criteria.manifest import CriterionState, Lineage, Manifest, RawVector, StoredCriterion
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.criteria.vectors import fill_vectors, free_vector, lacking
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import CRLError, EncoderError, InputError
from crl_qdrant.ingestion.items import Rejected
from crl_qdrant.ingestion.pictures import ImageEmbedder
from crl_qdrant.stores import Record, Store

__all__ = ["Migration", "Migrator", "drop_previous"]

_SAMPLE: Final = 32
_FLOAT_BYTES: Final = 4

ImageOf = Callable[[PointId, Payload], ImageInput]


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration to another encoder, planned or done.

    Attributes:
        encoder: the new encoder's name; None where embeddings are brought again.
        points: how many points are to have new embeddings.
        left: how many of them lack one still.
        seconds: taken, or with dry_run estimated from a sample for what is left.
        bytes: that the new named vectors take, with those of materialized criteria, beside the old ones.
        rejected: points whose image could not be had or embedded.
        done: whether searches use the new embeddings.
        current: whether it is the collection's own encoder, so that only points without an embedding get one.
        brought: criteria whose brought word vectors give way to those of the new encoder.
        heads: criteria whose trained heads are left behind.
    """

    encoder: str | None
    points: int
    left: int
    seconds: float
    bytes: int
    rejected: list[Rejected] = field(default_factory=list)
    done: bool = False
    current: bool = False
    brought: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()

    @property
    def remarks(self) -> list[str]:
        """Sentences on the consequences that figures do not tell."""
        told = []
        if self.current:
            told.append(f"{self.encoder} is the collection's encoder already: only points without an embedding get one")
        kept = "they are kept with the old embeddings until drop_previous"
        if self.brought:
            names = ", ".join(self.brought)
            told.append(f"the words of {names} are embedded again, in place of the word vectors you brought; {kept}")
        if self.heads:
            told.append(f"the trained heads of {', '.join(self.heads)} do not fit the new embeddings; {kept}")
        return told


class Migrator:
    """One migration; `CRLCollection.migrate` says what is raised.

    Args:
        store: where the points are.
        criteria: the collection's, over the old embeddings.
        encoder: the new encoder.
        raw: the new raw vectors, without a name for them yet.
        image_of: gives a point's image, from its id and payload.
        batch_size: points embedded and written at once.
    """

    def __init__(
        self,
        store: Store,
        criteria: Criteria,
        encoder: BoundEncoder,
        raw: RawVector,
        image_of: ImageOf,
        *,
        batch_size: int,
    ) -> None:
        self._store = store
        self._criteria = criteria
        self._encoder = encoder
        self._images = ImageEmbedder(encoder, raw.dimension, purpose="migrate")
        self._wanted = raw
        self._raw = self._named()
        self._image_of = image_of
        self._batch_size = batch_size

    def _named(self) -> RawVector:
        """The raw vectors under the name that they have already, in an earlier run or before the last migration."""
        raw, manifest = self._wanted, self._criteria.manifest
        known = [manifest.raw, *(each for each in (manifest.following, manifest.previous) if each is not None)]
        for each in known:
            if (each.encoder, each.dimension) == (raw.encoder, raw.dimension):
                return each
        if manifest.following is not None:
            raise InputError(
                f"a migration to {manifest.following.encoder!r} is under way; finish it first, "
                "or give it up with drop_previous()"
            )
        if manifest.previous is not None:
            raise InputError(
                f"the embeddings of {manifest.previous.encoder!r} are still kept; drop_previous() before the next one"
            )
        number = 1 + max(int(each.vector.partition("~")[2] or 1) for each in known)
        return replace(raw, vector=f"image~{number}")

    def plan(self) -> Migration:
        """Describe the migration; a sample is embedded to see how long it takes, and nothing is written."""
        left = self._left()
        started = time.perf_counter()
        records = self._store.retrieve(next(self._missing(_SAMPLE), []))
        _, _, rejected = self._embedded(records)
        elapsed = time.perf_counter() - started
        return replace(self._report(rejected), seconds=elapsed / max(len(records), 1) * left)

    def run(
        self, *, skip: bool, lock: AbstractContextManager[Any], advance: Advance, use: Callable[[Manifest], None]
    ) -> Migration:
        """Embed, build and switch; `lock` is taken for each write.

        Args:
            skip: switch although some points have no embedding; those are then found by no image.
            lock: keeps other writes of this process out.
            advance: moves the progress bar on.
            use: called with the manifest when the new embeddings are current, before the lock is released.
        """
        started = time.perf_counter()
        with lock:
            manifest = self._begin()
        rejected = self._embed(lock, advance)
        if manifest.raw == self._raw:  # only points that came without an embedding were to be seen to
            with lock:
                self._criteria.refresh()
                now = self._criteria.manifest.lineages.values()
                self._fill([each for lineage in now for each in lineage.versions if each.has_vector], advance)
                use(self._criteria.manifest)
            return replace(self._report(rejected), seconds=time.perf_counter() - started, done=True)
        with lock:
            # points that were added meanwhile
            seen = {each.id for each in rejected}
            rejected += [each for each in self._embed(lock, advance) if each.id not in seen]
            done = skip or not rejected
            if done:
                self._criteria.refresh()
                self._require_under_way(self._criteria.manifest)
                lineages = self._following()
                self._build(lineages, advance)
                use(self._change_over())
        return replace(self._report(rejected), seconds=time.perf_counter() - started, done=done)

    def _begin(self) -> Manifest:
        """The manifest, which names the new raw vectors from now on."""
        self._criteria.refresh()
        self._raw = self._named()  # another thread or process may have begun or ended a migration
        manifest = self._criteria.manifest
        if manifest.raw != self._raw:
            if manifest.following is None:
                self._criteria.write(replace(manifest, following=self._raw).to_entry())
            self._store.create_vector(self._raw.vector, self._raw.dimension)
        return manifest

    def _require_under_way(self, manifest: Manifest) -> None:
        """Raises InputError where `drop_previous` gave the migration up meanwhile."""
        if self._raw not in (manifest.raw, manifest.following):
            raise InputError(
                f"the migration to {self._raw.encoder!r} was given up meanwhile, by drop_previous(); "
                "call migrate again to begin another"
            )

    # ------------------------------------------------------------------ embedding

    def _left(self) -> int:
        return self._store.count(self._to_embed())

    def _missing(self, size: int) -> Iterator[list[PointId]]:
        return batches((point for page in self._store.scroll_ids(self._to_embed()) for point in page), size)

    def _to_embed(self) -> models.Filter | None:
        """Which points lack a new embedding; all of them, before there is a vector for it."""
        return lacking(self._raw.vector) if self._raw.vector in self._store.vector_sizes() else None

    def _embed(self, lock: AbstractContextManager[Any], advance: Advance) -> list[Rejected]:
        total, every = self._left(), list[Rejected]()
        for batch in self._missing(self._batch_size):
            with lock:
                self._require_under_way(self._criteria.manifest)
                # read under the lock: a point must not get the embedding of an image it no longer has
                ids, rows, rejected = self._embedded(self._store.retrieve(batch))
                if ids:
                    self._store.update_vectors(ids, {self._raw.vector: rows})
            every += rejected
            advance(len(batch), total)
        return every

    def _embedded(self, records: Sequence[Record]) -> tuple[list[PointId], Any, list[Rejected]]:
        """Ids and new embeddings [n, d] of the points whose image can be embedded, and the others."""
        with ThreadPoolExecutor() as pool:
            outcomes = list(pool.map(self._prepared, records))
        pairs = list(zip(records, outcomes, strict=True))
        rejected = [Rejected(record.id, outcome) for record, outcome in pairs if isinstance(outcome, CRLError)]
        usable = [(record.id, outcome) for record, outcome in pairs if not isinstance(outcome, CRLError)]
        rows, failed = self._images.embed([image for _, image in usable])
        rejected += [Rejected(usable[at][0], error) for at, error in sorted(failed.items())]
        good = [at for at in range(len(usable)) if at not in failed]
        return [usable[at][0] for at in good], rows[good], rejected

    def _prepared(self, record: Record) -> Any:
        if not self._encoder.exists:
            return EncoderError("it came since, and without an encoder nothing gives it an embedding: delete or add it")
        return self._images.attempt(lambda: self._images.prepare(self._image_of(record.id, record.payload or {})))

    # ------------------------------------------------------------------- criteria

    def _following(self) -> dict[str, Lineage]:
        """The criteria over the new embeddings, those that an earlier run has made among them."""
        manifest = self._criteria.manifest
        wanted = {name: each.latest.criterion for name, each in manifest.lineages.items()}
        kept = {
            name: lineage
            for name, lineage in manifest.following_lineages.items()
            if name in wanted and _says_the_same(lineage.current.criterion, wanted[name])
        }
        entries: dict[str, Any] = {}
        for name in manifest.following_lineages.keys() - wanted.keys():  # dropped since
            self._store.drop_vector(manifest.following_lineages[name].current.vector)
            entries |= Lineage.removal(name, following=True)
        if kept.keys() == wanted.keys():
            self._criteria.write(entries)
            return kept
        known = {name: each.current for name, each in manifest.previous_lineages.items()} if self._is_back else {}
        embedded = {name: self._embedded_words(each, known.get(name)) for name, each in wanted.items()}
        lineages: dict[str, Lineage] = {}
        taken = manifest.vectors_in_use() | set(self._store.vector_sizes())
        for name, criterion in embedded.items():
            vector = free_vector(name, taken)
            taken.add(vector)
            old = known.get(name)
            if old is not None and old.criterion.options == criterion.options and old.criterion.same_words(criterion):
                lineages[name] = Lineage(replace(old, vector=vector))  # with its head
            else:
                lineages[name] = Lineage(version_of(criterion, embedded, self._store, self._raw, vector))
            entries |= lineages[name].to_entry(following=True)
        for lineage in manifest.following_lineages.values():  # begun before the words or options were changed
            self._store.drop_vector(lineage.current.vector)
        self._criteria.write(entries)
        return lineages

    @property
    def _is_back(self) -> bool:
        """Whether the new raw vectors are those before the last migration."""
        return self._raw == self._criteria.manifest.previous

    def _embedded_words(self, criterion: Criterion, known: StoredCriterion | None) -> Criterion:
        """The criterion with its words in the new space: as they were before the last migration, or embedded."""
        if known is not None and known.criterion.same_words(criterion.with_embeddings(None)):
            return criterion.with_embeddings(known.criterion.embeddings)
        if not self._encoder.exists:
            raise InputError(
                f"the words of criterion {criterion.name!r} changed since the last migration, and without an encoder "
                "they have no embeddings to go back to; drop it first, and define it again with its embeddings"
            )
        return criterion.with_embeddings(embedded_words(criterion, self._encoder))

    def _build(self, lineages: Mapping[str, Lineage], advance: Advance) -> None:
        # also those that an earlier run has built: points may have come since
        now = self._criteria.manifest.criteria
        left = [each for name, each in lineages.items() if now[name].state is not CriterionState.DEFINED]
        for lineage in left:
            self._store.create_vector(lineage.current.vector, lineage.current.rank)
        self._fill([lineage.current for lineage in left], advance)
        entries: dict[str, Any] = {}
        for lineage in left:
            built = replace(lineage, current=lineage.current.in_state(CriterionState.MATERIALIZED))
            entries |= built.to_entry(following=True)
        self._criteria.write(entries)

    def _fill(self, versions: Sequence[StoredCriterion], advance: Advance) -> None:
        raw, projector = self._raw.vector, self._criteria.projector
        fill_vectors(self._store, raw, versions, projector, batch_size=self._batch_size, advance=advance)

    def _change_over(self) -> Manifest:
        """One write of the manifest: the new raw vectors and criteria are current, the old ones are kept aside."""
        manifest = self._criteria.manifest
        old = [name for lineage in manifest.lineages.values() for name in lineage.retired]
        old += [version.vector for lineage in manifest.lineages.values() for version in lineage.versions]
        left = tuple(dict.fromkeys([*manifest.left, *old]))
        kept = {
            name: Lineage(lineage.latest.in_state(CriterionState.DEFINED))
            for name, lineage in manifest.lineages.items()
        }
        changed = Manifest(
            self._raw,
            manifest.following_lineages,
            previous=manifest.raw,
            left=left,
            fields=manifest.fields,
            previous_lineages=kept,
        )
        entries: dict[str, Any] = changed.to_entry()
        for name in manifest.previous_lineages:
            entries |= Lineage.removal(name, previous=True)
        for lineage in kept.values():
            entries |= lineage.to_entry(previous=True)
        for name, lineage in manifest.following_lineages.items():
            entries |= {**lineage.to_entry(), **Lineage.removal(name, following=True)}
        self._criteria.hand_over(entries)
        return changed

    def _report(self, rejected: list[Rejected]) -> Migration:
        points = self._store.count()
        manifest = self._criteria.manifest
        current = manifest.raw == self._raw
        numbers = self._raw.dimension + sum(each.rank for each in manifest.criteria.values() if each.has_vector)
        latest = {} if current else {name: each.latest for name, each in manifest.lineages.items()}
        return Migration(
            self._raw.encoder,
            points,
            left := self._left(),
            0.0,
            (left if current else points) * numbers * _FLOAT_BYTES,
            rejected,
            current=current,
            brought=tuple(name for name, each in latest.items() if each.brought or manifest.encoder is None),
            heads=tuple(name for name, each in latest.items() if each.projection.head is not None),
        )


def drop_previous(store: Store, criteria: Criteria) -> None:
    """Remove the embeddings and named vectors of before the last migration, or those of one that is not finished."""
    criteria.refresh()
    manifest = criteria.manifest
    gone = [manifest.previous, manifest.following]
    vectors = [*manifest.left, *(each.vector for each in gone if each is not None)]
    vectors += [lineage.current.vector for lineage in manifest.following_lineages.values()]
    entries: dict[str, Any] = {}
    for name in manifest.following_lineages:
        entries |= Lineage.removal(name, following=True)
    for name in manifest.previous_lineages:
        entries |= Lineage.removal(name, previous=True)
    for vector in vectors:
        store.drop_vector(vector)
    # last, so that what a kill leaves is still named
    criteria.write({**entries, **Manifest(manifest.raw, {}, fields=manifest.fields).to_entry()})


def _says_the_same(first: Criterion, second: Criterion) -> bool:
    """Whether they are the same but for their embeddings, which are of two encoders."""
    return first.with_embeddings(None).same_words(second) and first.options == second.options
