"""A collection's criteria: defined, materialized, renamed, dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crl_qdrant.collection.core import Core
from crl_qdrant.common.progress import progress_bar
from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.criteria.words import worded
from crl_qdrant.errors import InputError
from crl_qdrant.vocabulary import WordSource

__all__ = ["Definitions"]


class Definitions(Core):
    """The criteria of a collection."""

    @property
    def criteria(self) -> dict[str, Criterion]:
        """The criteria by name, with their words' embeddings."""
        return self._manifest.definitions

    def criterion(self, name: str) -> Criterion:
        """One criterion, with its words' embeddings.

        Raises:
            NotFoundError: if there is no such criterion; the message lists those there are.
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
        """Define a criterion; it can be searched by at once. Defining the same again changes nothing.

        The default is fitted to a sample of the images. If fewer than 256 were there, defining the same again fits it
        once there are more; `info` says so.

        Redefining a materialized criterion does not affect searches until `materialize` has run: it builds the new
        named vector beside the old one, then switches to it.

        Args:
            criterion: a name; or a ready `Criterion`, which has its own words, prompt and options.
            words: its words, or their source: a `LanguageModel` or any function of its signature. None: the words that
                the collection has for this name, else a packaged list, else a `LanguageModel()`.
            prompt, preset, options: as in `Criterion`.
            n_words: how many words, of a packaged list or from a language model.
            domain: the kind of objects ("women's shoes"), for the language model. With a domain it is asked even if
                there is a packaged list.
            anew: ask again for words that the collection has; otherwise a language model is asked once.

        Returns:
            The criterion as it is stored, with its words' embeddings.

        Raises:
            VocabularyError: if a language model is needed, and gives no words.
            CriterionError: if words or options are not allowed; if the words' embeddings all point the same way, so
                that they tell nothing apart; if a criterion to suppress is not defined; or if the mean of the images
                is needed, and there are none.
            EmbeddingError: if the criterion brings embeddings of another dimension.
            EncoderError: if it brings none, and the collection has no encoder.
            StoreError: if the store refuses.
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
        Several criteria in one call are much faster than one call each: every embedding is read once.

        A criterion with `smooth` that is built for the first time holds all N representations in memory, N·r floats,
        and compares each with each, in time that grows with N².

        Args:
            name: a defined criterion.
            more: further ones, for the same pass.
            batch_size: points in one write.
            progress: a bar on the terminal; None: where there is a terminal.

        Returns:
            How many points were written.

        Raises:
            NotFoundError: if there is no such criterion.
            InputError: if batch_size < 1.
            StoreError: if the store refuses; what was written stays, and the criteria are searched exactly until then.
        """
        names = [name, *more]
        with self._write_lock, progress_bar(f"materializing {', '.join(map(str, names))}", show=progress) as advance:
            return self._criteria.materialize(names, batch_size=batch_size, advance=advance)

    def drop_criterion(self, name: str) -> None:
        """Remove a criterion, and its named vector if it has one.

        Raises:
            NotFoundError: if there is no such criterion.
            StoreError: if the store refuses.
        """
        with self._write_lock:
            self._criteria.drop(name)

    def rename_criterion(self, name: str, new_name: str) -> None:
        """Give a criterion another name. No point is written, and its named vector keeps its name.

        Raises:
            NotFoundError: if there is no such criterion.
            ExistsError: if there is one of the new name.
            CriterionError: if the new name is not allowed.
            StoreError: if the store refuses.
        """
        with self._write_lock:
            self._criteria.rename(name, new_name)
