"""The words of a run. The paper's lists are not shipped: a file, a language model, or the packaged lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from crl_qdrant.criteria.criterion import Criterion
from crl_qdrant.errors import CriterionError, StoreError
from crl_qdrant.vocabulary import packaged_words, WordSource

__all__ = ["ask_words", "criteria_of", "read_words", "packaged_lists"]


def read_words(path: Path) -> dict[str, list[str]]:
    """A JSON file of criterion -> words.

    Raises:
        CriterionError: if the file cannot be read, or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CriterionError(f"the words file {path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(words, list) for words in content.values()):
        raise CriterionError(
            f'the words file {path} must be an object of criterion -> list of words, {{"color": ["red", …]}}'
        )
    return content


def ask_words(names: Iterable[str], source: WordSource, path: Path) -> dict[str, list[str]]:
    """Words for each of these criteria, kept in a file as `read_words` reads it: what is there is not asked again.

    Raises:
        CriterionError: if the file is there and cannot be read.
        VocabularyError: if the source has no words; those it gave before are kept.
        StoreError: if the file cannot be written.
    """
    words = read_words(path) if path.exists() else {}
    for name in names:
        if name not in words:
            words[name] = source(name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(words, ensure_ascii=False, indent=1), encoding="utf-8")
            except OSError as error:
                raise StoreError(f"the words cannot be kept in {path}: {error}") from error
    return words


def packaged_lists(names: Iterable[str]) -> dict[str, list[str]]:
    """The packaged lists of those criteria that there are any for."""
    lists = {name: packaged_words(name) for name in names}
    return {name: words for name, words in lists.items() if words is not None}


def criteria_of(
    words: Mapping[str, Sequence[str]], prompts: Mapping[str, str], *, preset: str = "paper"
) -> tuple[dict[str, Criterion], tuple[str, ...]]:
    """The criteria of a data set that there are words for, and notes on what was left out.

    Words that come again, differing in case or blanks at most, are taken once: a language model repeats itself, and
    so do some of the paper's lists.

    Args:
        words: criterion -> words.
        prompts: criterion of the data set -> the sentence that its words are embedded in.
        preset: how words become a representation, as in `Criterion`.

    Raises:
        CriterionError: if none of the criteria has words, or the words make no criterion.
    """
    if not {*words} & {*prompts}:
        raise CriterionError(
            f"there must be words for one of {', '.join(prompts)}; got words for {', '.join(words) or 'nothing'}"
        )
    found, notes = {}, []
    for name in (name for name in prompts if name in words):
        once = {
            " ".join(word.split()).casefold() if isinstance(word, str) else word: word for word in reversed(words[name])
        }
        found[name] = Criterion(name, list(reversed(once.values())), prompt=prompts[name], preset=preset)
        if repeated := len(words[name]) - len(once):
            notes.append(f"{name}: {repeated} of {len(words[name])} words came before and were left out")
    if unused := [name for name in words if name not in prompts]:
        notes.append(f"words of {', '.join(unused)} were not used: the criteria here are {', '.join(prompts)}")
    if lacking := [name for name in prompts if name not in words]:
        notes.append(f"not evaluated, for there are no words: {', '.join(lacking)}")
    return found, tuple(notes)
