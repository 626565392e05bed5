"""A collection's criteria: defined, materialised, renamed, dropped."""

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

        The default is fitted to a sample of the images. If fewer than 256 were there, defining the same again fits it
        once there are more; `info` says so.

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
