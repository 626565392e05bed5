"""The life of a collection's criteria: defined, materialised as a named vector, dropped."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final, TYPE_CHECKING

import numpy as np
from qdrant_client import models

from crl_qdrant.checks import whole_number
from crl_qdrant.criterion import Criterion
from crl_qdrant.embeddings import Float32Array, unit_rows
from crl_qdrant.encoders.bound import BoundEncoder
from crl_qdrant.errors import CriterionError, ExistsError, NotFoundError
from crl_qdrant.manifest import CriterionState, IMAGE_VECTOR, Manifest, StoredCriterion
from crl_qdrant.progress import Advance
from crl_qdrant.stores import Store

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Criteria"]

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
        self._manifest = manifest
        self._encoder = encoder
        self._device = device
        self._read_at = time.monotonic()
        self._projections: dict[str, Tensor] = {}  # by fingerprint

    @property
    def manifest(self) -> Manifest:
        """What the collection remembers of itself, as last read."""
        return self._manifest

    def refresh(self) -> None:
        """Read the manifest again, and check it against the vectors that are there."""
        self._manifest = Manifest.read(self._store.metadata(), self._store.vector_sizes(), collection=self._collection)
        self._read_at = time.monotonic()

    def _is_older(self, seconds: float) -> bool:
        return self._store.shared and time.monotonic() - self._read_at > seconds

    def find(self, name: str) -> StoredCriterion:
        """The criterion of that name, also where another process has just defined it."""
        if name not in self._manifest.criteria or self._is_older(_SEARCH_STALE_S):
            self.refresh()
        stored = self._manifest.criteria.get(name)
        if stored is None:
            known = ", ".join(self._manifest.criteria) or "none is defined"
            raise NotFoundError(f"collection {self._collection!r} has no criterion {name!r}; there are: {known}")
        return stored

    def projection(self, stored: StoredCriterion) -> Tensor:
        """P of a criterion, float32 [d, r], on the device."""
        if stored.fingerprint not in self._projections:
            import torch

            from crl_qdrant.device import choose_device

            self._projections[stored.fingerprint] = torch.tensor(stored.projection, device=choose_device(self._device))
        return self._projections[stored.fingerprint]

    def project(self, stored: StoredCriterion, embeddings: Float32Array) -> Float32Array:
        """Conditional representations [N, r] of unit embeddings [N, d], unit rows."""
        import torch

        from crl_qdrant.projection import conditional_representation

        projection = self.projection(stored)
        rows = torch.from_numpy(embeddings).to(projection.device)
        return np.asarray(conditional_representation(rows, projection).cpu().numpy())

    def project_query(self, stored: StoredCriterion, embedding: Float32Array) -> Float32Array:
        """The conditional representation [r] of one unit embedding [d], unit length; zeros where it has none.

        A single product is quickest in NumPy: waking a GPU, or torch's threads, takes longer than an engine's search.
        """
        conditional: Float32Array = embedding @ stored.projection
        length = float(conditional @ conditional) ** 0.5
        # what is left of an embedding that is orthogonal to all words is rounding, not a direction
        if length <= 1e-6 * stored.scale:
            return np.zeros_like(conditional)
        return np.asarray(conditional / np.float32(length))

    def vectors(self, embeddings: Float32Array) -> dict[str, Float32Array]:
        """The named vectors [N, r] that points with these embeddings [N, d] must carry when they are written now."""
        if self._is_older(_WRITE_STALE_S):
            self.refresh()
        stored = [each for each in self._manifest.criteria.values() if each.has_vector]
        return {each.criterion.vector_name: self.project(each, embeddings) for each in stored}

    def define(self, criterion: Criterion) -> None:
        """Keep a criterion; the same one again is no change."""
        self.refresh()
        fingerprint = criterion.fingerprint(self._manifest.encoder)
        existing = self._manifest.criteria.get(criterion.name)
        if existing is not None and (
            existing.fingerprint == fingerprint or existing.criterion.to_dict() == criterion.to_dict()
        ):
            return
        if existing is not None and existing.has_vector:
            raise ExistsError(
                f"criterion {criterion.name!r} is materialised with other words, prompt or options; "
                f"drop_criterion({criterion.name!r}) first, or choose another name"
            )
        embeddings = criterion.embeddings
        if embeddings is None:
            embeddings = self._encoder.encode_texts(criterion.texts, purpose="embed a criterion's words")
        what = f"the embeddings of criterion {criterion.name!r}"
        checked = unit_rows(embeddings, rows=len(criterion.words), dimension=self._manifest.dimension, what=what)
        projection = _projection(criterion, checked)
        rank = projection.shape[1]
        if rank < 2:
            raise CriterionError(
                f"the words of criterion {criterion.name!r} span {rank} dimension(s), and in fewer than two "
                "every image is simply for or against; use more words"
                + (", or center=False" if criterion.center else "")
                + (", or energy=1" if criterion.energy < 1 else "")
            )
        self._remember(StoredCriterion(criterion.with_embeddings(checked), fingerprint, projection))

    def materialize(self, name: str, *, batch_size: int, advance: Advance) -> int:
        """Write the criterion's named vector for the points that lack it."""
        batch_size = whole_number("batch_size", batch_size, least=1)
        self.refresh()
        stored = self.find(name)
        vector = stored.criterion.vector_name
        if not stored.has_vector:
            # a vector of that name is what an interrupted drop, or an interrupted beginning, has left: not ours to fill
            self._store.drop_vector(vector)
            self._store.create_vector(vector, stored.rank)
            # from here on new points carry the vector, so that what is left to fill only gets less
            self._remember(stored.in_state(CriterionState.BUILDING))
        lacking = models.Filter(
            must=[models.HasVectorCondition(has_vector=IMAGE_VECTOR)],
            must_not=[models.HasVectorCondition(has_vector=vector)],
        )
        total, written = self._store.count(lacking), 0
        for ids, embeddings in self._store.scroll(vector=IMAGE_VECTOR, query_filter=lacking, batch_size=batch_size):
            self._store.update_vectors(ids, vector, self.project(stored, embeddings))
            written += len(ids)
            advance(len(ids), total)
        if stored.state is not CriterionState.MATERIALIZED:
            self._remember(stored.in_state(CriterionState.MATERIALIZED))
        return written

    def drop(self, name: str) -> str:
        """Forget a criterion, and remove its named vector where it has one; returns its fingerprint."""
        self.refresh()
        stored = self.find(name)
        if stored.has_vector:
            # searches go back to the scan, and new points go without the vector, before the vector goes
            self._remember(stored.in_state(CriterionState.DEFINED))
            self._store.drop_vector(stored.criterion.vector_name)
        self._store.update_metadata(StoredCriterion.removal(name))
        self._projections.pop(stored.fingerprint, None)
        self.refresh()
        return stored.fingerprint

    def _remember(self, stored: StoredCriterion) -> None:
        self._store.update_metadata(stored.to_entry())
        self._manifest = replace(self._manifest, criteria={**self._manifest.criteria, stored.criterion.name: stored})


def _projection(criterion: Criterion, embeddings: Float32Array) -> Float32Array:
    import torch

    from crl_qdrant.projection import projection_matrix

    projection = projection_matrix(
        torch.tensor(embeddings), weighting=criterion.weighting, center=criterion.center, energy=criterion.energy
    )
    return np.asarray(projection.numpy())
