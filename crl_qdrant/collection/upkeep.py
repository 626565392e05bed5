"""Upkeep of a collection: move it to another encoder, build its indexes, read it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crl_qdrant.collection.core import Core
from crl_qdrant.common.arguments import whole_number
from crl_qdrant.common.images import ImageInput
from crl_qdrant.common.points import Payload, PointId
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.criteria.manifest import Manifest, RawVector
from crl_qdrant.criteria.registry import Criteria
from crl_qdrant.encoders import Encoder, load_encoder
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import InputError
from crl_qdrant.ingestion.items import OnError
from crl_qdrant.ingestion.migration import drop_previous, Migration, Migrator
from crl_qdrant.search.memory.resident import Resident

__all__ = ["Upkeep"]


class Upkeep(Core):
    """A collection kept in order."""

    def migrate(
        self,
        encoder: str | Encoder | None,
        images: Callable[[PointId, Payload], ImageInput] | None = None,
        *,
        dry_run: bool = False,
        on_error: OnError = "raise",
        batch_size: int = 128,
        device: str = "auto",
        progress: bool | None = None,
    ) -> Migration:
        """Move the collection to another encoder: embed every image again beside the old embeddings, then switch.

        Searches use the old embeddings until everything is there, criteria included; then one write makes the new
        ones current. Interrupted at any time and called again, it resumes. Words are embedded again by the new
        encoder, also those that were brought with embeddings, and trained heads are left behind; `brought` and `heads`
        of the result name these criteria. The old embeddings, brought word vectors and heads are kept until
        `drop_previous`: `migrate` back to the old encoder restores them quickly. To search during a migration, use the
        collection from another thread, or `AsyncCRLCollection`.

        Args:
            encoder: as in `create`. The collection's own: embeds points that lack an embedding, and changes nothing
                else. None: back to the embeddings that were brought before the last migration.
            images: gives the image of a point, from its id and its payload; needed with an encoder.
            dry_run: only say what it would take, by embedding a few; nothing is written.
            on_error: "raise" does not switch while there are points whose image cannot be embedded, and raises;
                "skip" reports them, and switches without them: no image finds them from then on.
            batch_size: points embedded and written at once.
            device: where the new encoder computes.
            progress: a bar on the terminal; None: where there is a terminal.

        Raises:
            InputError: if another migration is under way, or the embeddings before the last one are still kept; if
                drop_previous() gave this one up meanwhile; with on_error="raise", if images cannot be embedded: the
                embeddings of the others are kept.
            EncoderError: if there is no such encoder, or it cannot be loaded.
            StoreError: if the store refuses.
        """
        if on_error not in ("skip", "raise"):
            raise InputError(f'on_error is "skip" or "raise", got {on_error!r}')
        batch_size = whole_number("batch_size", batch_size, least=1)
        loaded = None if encoder is None else load_encoder(encoder, device=device)
        if loaded is not None and images is None:
            raise InputError("`images` must be given with an encoder: a function from a point's id and payload")
        with self._one_migration():
            with self._write_lock:
                self._criteria.refresh()
            raw = self._kept_without_encoder() if loaded is None else RawVector(loaded.name, loaded.dimension)
            bound = BoundEncoder(self.name, raw.encoder, raw.dimension, encoder=loaded, device=device)
            migrator = Migrator(self._store, self._criteria, bound, raw, images or _no_image, batch_size=batch_size)
            if dry_run:
                return migrator.plan()

            def use(manifest: Manifest) -> None:
                resident = Resident(self._store, manifest.raw, self._device, self._resident.scan_memory)
                self._use(Criteria(self.name, self._store, manifest, bound, self._device), bound, resident)

            with progress_bar(f"migrating to {raw.encoder}", show=progress) as advance:
                done = migrator.run(skip=on_error == "skip", lock=self._write_lock, advance=advance, use=use)
        if done.rejected and on_error == "raise":
            raise InputError(
                f"{len(done.rejected)} of {done.points} points cannot be embedded, the first: {done.rejected[0]}; "
                'mend or delete them and call migrate again, or leave them behind with on_error="skip"'
            )
        return done

    def _kept_without_encoder(self) -> RawVector:
        kept = (self._manifest.previous, self._manifest.following)
        for each in kept:
            if each is not None and each.encoder is None:
                return each
        raise InputError(
            f"collection {self.name!r} keeps no embeddings that were brought without an encoder; name an encoder"
        )

    @contextmanager
    def _one_migration(self) -> Iterator[None]:
        if not self._migration_lock.acquire(blocking=False):
            raise InputError("another thread is migrating this collection; wait until it is done")
        try:
            yield
        finally:
            self._migration_lock.release()

    def drop_previous(self) -> None:
        """Remove the embeddings that the last migration has left, or those of one that is to be given up.

        Raises:
            StoreError: if the store refuses.
        """
        with self._write_lock:
            drop_previous(self._store, self._criteria)

    def optimize(self, *, progress: bool | None = None) -> None:
        """Build the engine's indexes now: Qdrant Edge searches exhaustively until then, a server does it by itself.

        Qdrant Edge does it in another process, and calls for this collection wait until it is done: some 45 seconds for
        100,000 points on two cores, nothing where nothing has changed. It can be stopped and repeated at any time.

        Args:
            progress: a bar on the terminal; None: where there is a terminal.

        Raises:
            StoreError: if the index cannot be built; the points are as they were.
        """
        with self._write_lock, progress_bar("building the index", show=progress):
            self._store.optimize()

    def refresh(self) -> None:
        """Read everything again, after another process has changed the collection: its criteria, and its embeddings.

        Raises:
            ManifestError: if the collection no longer matches its manifest.
        """
        self._criteria.refresh()
        self._resident.forget()


def _no_image(point: PointId, payload: Payload) -> ImageInput:
    raise InputError("there is no encoder to embed it")
