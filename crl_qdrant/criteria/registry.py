"""The criteria of a collection: define, materialize as a named vector, change, rename, drop.

Every change is one write of the manifest, and what it needs is done before it, or can be done again after it: so a
process may be killed anywhere, and the next one finds the collection whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from crl_qdrant.common.arguments import whole_number
from crl_qdrant.common.arrays import Float32Array
from crl_qdrant.common.points import PointId
from crl_qdrant.common.progress import Advance
from crl_qdrant.criteria.build import context, new_version
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.criteria.manifest import CriterionState, Lineage, Manifest, StoredCriterion
from crl_qdrant.criteria.manifest_cache import KeptManifest
from crl_qdrant.criteria.sample import has_images
from crl_qdrant.criteria.smoothing import stored_rows
from crl_qdrant.criteria.space import RAW, Space
from crl_qdrant.criteria.vectors import fill_vectors, next_vector
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import CriterionError, ExistsError, InputError, NotFoundError
from crl_qdrant.projection.fit import FEWEST_IMAGES
from crl_qdrant.projection.projector import Projector
from crl_qdrant.projection.stored_head import StoredHead
from crl_qdrant.stores import Store

__all__ = ["Criteria", "is_outdated"]

# How old the manifest may be: another process may have changed it.
_SEARCH_STALE_S: Final = 10.0
_WRITE_STALE_S: Final = 1.0


class Criteria:
    """The criteria of one collection, as its store keeps them.

    `CRLCollection` says what each method raises, and lets one write at a time through.

    Args:
        collection: the collection's name, for messages.
        store: where manifest and vectors are.
        manifest: as it was just written or read.
        encoder: what embeds a criterion's words.
        device: "auto", "cpu" or "cuda…": where projections are kept and applied.
    """

    def __init__(self, collection: str, store: Store, manifest: Manifest, encoder: BoundEncoder, device: str) -> None:
        self._collection = collection
        self._store = store
        self._kept = KeptManifest(store, collection, manifest)
        self._encoder = encoder
        self.projector = Projector(device)

    @property
    def manifest(self) -> Manifest:
        """The collection's manifest, as last read."""
        return self._kept.manifest

    def refresh(self) -> None:
        """Read the manifest again, and check it against the vectors that are there."""
        self._kept.refresh()

    def write(self, entries: Mapping[str, Any]) -> None:
        """Write entries of the metadata that are more than one criterion's, and read the manifest again."""
        self._kept.write(entries)

    def hand_over(self, entries: Mapping[str, Any]) -> None:
        """Write the entries that move the collection to another encoder; this object is for searches under way then."""
        self._kept.hand_over(entries)

    # -------------------------------------------------------------------- in use

    def find(self, name: str) -> StoredCriterion:
        """The version to search by of a criterion, also where another process has just defined it."""
        return self._lineage(name).current

    def space(self, name: str | None) -> Space:
        """The space that searches by a criterion compare in; None is the raw embeddings' space.

        Raises:
            NotFoundError: if there is no such criterion.
        """
        if name is None:
            return Space(RAW, self.manifest.raw.vector, True, None, self.projector)
        stored = self._lineage(name).current
        indexed = stored.state is CriterionState.MATERIALIZED
        words, smooth = stored.criterion.words, stored.criterion.options.smooth
        return Space(name, stored.vector, indexed, stored.projection, self.projector, words, smooth)

    def latest(self, name: str) -> StoredCriterion:
        """The version that searches use after the next `materialize`: the pending one, where there is one."""
        return self._lineage(name).latest

    def _lineage(self, name: str) -> Lineage:
        if not isinstance(name, str):
            raise InputError(f"a criterion's name is a text, got {name!r:.80}")
        if name not in self.manifest.lineages or self._is_stale(_SEARCH_STALE_S):
            self.refresh()
        lineage = self.manifest.lineages.get(name)
        if lineage is None:
            known = ", ".join(self.manifest.lineages) or "none is defined"
            raise NotFoundError(f"collection {self._collection!r} has no criterion {name!r}; there are: {known}")
        return lineage

    def _is_stale(self, seconds: float) -> bool:
        """Whether another process may have changed the manifest, and it was read longer ago than that."""
        return self._store.shared and time.monotonic() - self._kept.read_at > seconds

    def vectors(self, ids: Sequence[PointId], embeddings: Float32Array) -> dict[str, Float32Array]:
        """The named vectors [N, r] that N points with these embeddings [N, d] must carry when they are written now."""
        if self._is_stale(_WRITE_STALE_S):
            self.refresh()
        versions = [version for lineage in self.manifest.lineages.values() for version in lineage.versions]
        return {
            each.vector: stored_rows(self._store, each, self.projector, ids, embeddings)
            for each in versions
            if each.has_vector
        }

    # ------------------------------------------------------------------- changes

    def define(self, criterion: Criterion) -> Criterion:
        """Keep a criterion, which is given back with its words embedded; the same one again is no change."""
        self.refresh()
        self._define(criterion)
        self._update_dependents(criterion.name)
        return self.manifest.lineages[criterion.name].latest.criterion

    def _define(self, criterion: Criterion) -> None:
        lineage = self.manifest.lineages.get(criterion.name)
        if lineage is None:
            self._kept.keep(Lineage(self._version(criterion)))
        elif self._is_same(lineage.latest, criterion):
            return
        elif self._is_same(lineage.current, criterion):
            self._give_up_pending(lineage)  # back to what it is
        else:
            self._succeed(lineage, self._version(criterion))

    def _succeed(self, lineage: Lineage, version: StoredCriterion) -> None:
        """A changed version takes the current one's place: at once, or where that is materialized once it is built."""
        begun = [each.vector for each in lineage.versions if each.state is not CriterionState.DEFINED]
        if lineage.current.state is CriterionState.MATERIALIZED:
            left = [] if lineage.pending is None else [lineage.pending.vector]
            changed = Lineage(lineage.current, version, (*lineage.retired, *left))
        else:
            changed = Lineage(version, None, (*lineage.retired, *begun))
        self._kept.keep(changed)
        self._remove_retired(changed)

    def _is_same(self, version: StoredCriterion, criterion: Criterion) -> bool:
        return (
            version.criterion.same_words(criterion)
            and version.criterion.options == criterion.options
            and version.context == context(criterion, self.manifest.definitions)
            and not self._can_be_fitted(version)
        )

    def _can_be_fitted(self, version: StoredCriterion) -> bool:
        """Whether images have come since it was defined without; a trained head stays with what it was trained on."""
        waits = version.projection.awaits_images and version.projection.head is None
        return waits and has_images(self._store, self.manifest.raw, FEWEST_IMAGES)

    def set_head(self, version: StoredCriterion, head: StoredHead | None) -> None:
        """Give a criterion's latest version this head, or none; a materialized one switches when it is built.

        Args:
            version: the latest version as it was when the head was trained.
            head: in the place of the one it has.
        """
        self.refresh()
        name = version.criterion.name
        lineage = self._lineage(name)
        if lineage.latest.projection.key != version.projection.key:
            raise CriterionError(f"criterion {name!r} was changed while its head was trained; train it again")
        projection = replace(version.projection, head=head)
        same_smoothing = lineage.latest.criterion.options.smooth == lineage.current.criterion.options.smooth
        if projection.key == lineage.current.projection.key and same_smoothing:
            self._give_up_pending(lineage)  # back to what it is
        elif projection.key != lineage.latest.projection.key:
            vector = next_vector(name, self.manifest)
            changed = replace(lineage.latest, projection=projection, vector=vector, state=CriterionState.DEFINED)
            self._succeed(lineage, changed)

    def materialize(self, names: Sequence[str], *, batch_size: int, advance: Advance) -> int:
        """Write the criteria's named vectors for the points that lack any; pending versions then take their places."""
        batch_size = whole_number("batch_size", batch_size, least=1)
        self.refresh()
        lineages = {name: self._lineage(name) for name in names}
        for lineage in lineages.values():
            self._remove_retired(lineage)
            if self._may_follow(lineage.latest):
                self._define(lineage.latest.criterion)
        versions = [self._begun(self.manifest.lineages[name].latest) for name in lineages]
        raw = self.manifest.raw.vector
        written = fill_vectors(self._store, raw, versions, self.projector, batch_size=batch_size, advance=advance)
        for version in versions:
            self._complete(version)
        # those that suppress one which has just changed were built beside its old version
        behind = [name for name in lineages if self._may_follow(self._lineage(name).latest)]
        return written + (self.materialize(behind, batch_size=batch_size, advance=advance) if behind else 0)

    def _may_follow(self, version: StoredCriterion) -> bool:
        """Whether others have changed, and there is no head, which stays with what it was trained on."""
        return version.projection.head is None and is_outdated(version, self.manifest)

    def _begun(self, version: StoredCriterion) -> StoredCriterion:
        """The version, with a named vector to fill."""
        if version.has_vector:
            return version
        # a vector of that name is what an interrupted drop, or an interrupted beginning, has left: not ours to fill
        self._store.drop_vector(version.vector)
        self._store.create_vector(version.vector, version.rank)
        # from now on new points carry the vector, so that what is left to fill only gets less
        building = version.in_state(CriterionState.BUILDING)
        self._remember_version(building)
        return building

    def _complete(self, version: StoredCriterion) -> None:
        if version.state is CriterionState.MATERIALIZED:
            return
        name = version.criterion.name
        self.refresh()
        lineage = self.manifest.lineages.get(name)
        now = None if lineage is None else next((v for v in lineage.versions if v.vector == version.vector), None)
        if lineage is None or now is None or not now.has_vector:
            raise CriterionError(
                f"criterion {name!r} was dropped or changed by another process while it was built; materialize it again"
            )
        # searches switch with this one write; only then does the old vector go
        retired = () if lineage.pending is None else (lineage.current.vector,)
        self._kept.keep(Lineage(version.in_state(CriterionState.MATERIALIZED), None, retired))
        self._remove_retired(self._lineage(name))
        if retired:
            self._update_dependents(name)

    def rename(self, name: str, new_name: str) -> None:
        """Give a criterion another name; its named vector keeps its own."""
        self.refresh()
        lineage = self._lineage(name)
        if new_name == name:
            return
        renamed = _each_version(lineage, lambda criterion: criterion.with_name(new_name))
        if new_name in self.manifest.lineages:
            raise ExistsError(f"there is a criterion {new_name!r}; choose another name, or drop it first")
        entries: dict[str, Any] = {**Lineage.removal(name), **renamed.to_entry()}
        for other in self.manifest.lineages.values():
            if other is not lineage and any(name in _suppressed(version) for version in other.versions):
                entries |= _each_version(other, lambda criterion: _with_renamed(criterion, name, new_name)).to_entry()
        self.write(entries)

    def drop(self, name: str) -> None:
        """Forget a criterion, and remove its named vectors where it has any."""
        self.refresh()
        lineage = self._lineage(name)
        users = [
            each.current.criterion.name
            for each in self.manifest.lineages.values()
            if any(name in _suppressed(version) for version in each.versions)
        ]
        if users:
            raise CriterionError(
                f"criterion {name!r} is suppressed by name in {', '.join(users)}; define those without it first"
            )
        # searches go back to the scan, new points without the vector, before it goes; a killed start may have left one
        left = (*lineage.retired, *(version.vector for version in lineage.versions))
        self._kept.keep(Lineage(lineage.current.in_state(CriterionState.DEFINED), None, left))
        self._remove_retired(self.manifest.lineages[name])
        self.write(Lineage.removal(name))
        self._update_dependents(name)

    # ------------------------------------------------------------------- details

    def _version(self, criterion: Criterion) -> StoredCriterion:
        made = new_version(criterion, self.manifest, self._encoder, self._store)
        lineage = self.manifest.lineages.get(criterion.name)
        known = [] if lineage is None else [each for each in lineage.versions if each.criterion.same_words(criterion)]
        # a criterion that comes out of the collection has embeddings too, and may have others' than its own
        brought = known[0].brought if known else criterion.embeddings is not None
        return replace(made, brought=brought)

    def _update_dependents(self, changed: str) -> None:
        """Criteria that suppress the changed one and have no named vector follow at once; others when materialized."""
        for name, lineage in self.manifest.lineages.items():
            current = lineage.current
            if name == changed or current.has_vector or not current.criterion.options.suppress:
                continue
            if self._may_follow(current):
                try:
                    self._define(current.criterion)
                except CriterionError:
                    continue  # nothing would be left of it: it stays as it is, and `info` says that it is outdated

    def _give_up_pending(self, lineage: Lineage) -> None:
        if lineage.pending is None:
            return
        retired = (*lineage.retired, lineage.pending.vector)
        self._kept.keep(Lineage(lineage.current, None, retired))
        self._remove_retired(self.manifest.lineages[lineage.current.criterion.name])

    def _remove_retired(self, lineage: Lineage) -> None:
        if not lineage.retired:
            return
        for vector in lineage.retired:
            self._store.drop_vector(vector)
        self._kept.keep(replace(lineage, retired=()))

    def _remember_version(self, version: StoredCriterion) -> None:
        lineage = self.manifest.lineages[version.criterion.name]
        if version.vector == lineage.current.vector:
            self._kept.keep(replace(lineage, current=version))
        else:
            self._kept.keep(replace(lineage, pending=version))


def is_outdated(version: StoredCriterion, manifest: Manifest) -> bool:
    """Whether the criteria that a version suppresses have changed since it was defined."""
    try:
        return context(version.criterion, manifest.definitions) != version.context
    except CriterionError:  # one that it suppresses by name is gone: there is nothing to bring it up to date with
        return False


def _each_version(lineage: Lineage, change: Callable[[Criterion], Criterion]) -> Lineage:
    """The same versions with their criterion changed in what does not change its projection."""
    current = replace(lineage.current, criterion=change(lineage.current.criterion))
    pending = lineage.pending and replace(lineage.pending, criterion=change(lineage.pending.criterion))
    return replace(lineage, current=current, pending=pending)


def _suppressed(version: StoredCriterion) -> tuple[str, ...]:
    """The criteria that a version suppresses by name."""
    suppress = version.criterion.options.suppress
    return () if suppress == "others" else tuple(suppress)


def _with_renamed(criterion: Criterion, name: str, new_name: str) -> Criterion:
    suppress = criterion.options.suppress
    if suppress == "others":
        return criterion
    return criterion.with_options(suppress=[new_name if each == name else each for each in suppress])
