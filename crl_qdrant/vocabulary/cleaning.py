"""Cleans the words of a language model: removes the marks of a list, and repetitions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

__all__ = ["cleaned_words"]

MAX_LENGTH: Final = 60  # characters: longer entries are sentences about the criterion, not values of it

_QUOTES: Final = "\"'`“”„‘’‚«»"
# bullets, quotes and numbers such as "1." or "(2)", in any order; "1.5 inch" and a bare "2." are words
_LEADING: Final = re.compile(rf"\A(?:[\s{_QUOTES}*_#>•·‣–—-]|\(?\d{{1,4}}[.)](?!\d|\Z))+")
_TRAILING: Final = f" {_QUOTES}*_,;:."
_SIBILANTS: Final = ("ses", "xes", "zes", "ches", "shes", "oes")


def cleaned_words(answers: Iterable[str], *, name: str) -> list[str]:
    """Return the usable words among a model's answers, in their order.

    Whitespace is folded; bullets, numbering, quotes and a final full stop are removed. An entry is left out if it has
    no letter or digit, more than 60 characters, or is the criterion's name. So is one that differs from an earlier
    entry only in case, in hyphens for spaces, or as a simple plural ("stripe", "Stripes").

    Args:
        answers: the entries as the model wrote them.
        name: the criterion's name; "_" in it stands for a space.
    """
    seen = _forms(name)
    words: list[str] = []
    for answer in answers:
        word = _bare(answer)
        forms = _forms(word)
        if len(word) <= MAX_LENGTH and any(character.isalnum() for character in word) and not forms & seen:
            words.append(word)
            seen |= forms
    return words


def _bare(answer: str) -> str:
    text = " ".join(unicodedata.normalize("NFC", answer).split())
    return _LEADING.sub("", text).rstrip(_TRAILING)


def _forms(word: str) -> set[str]:
    """Return the forms a word is compared by: without case and hyphens, and the singulars it may have."""
    key = re.sub(r"[\s_-]+", " ", word.casefold()).strip()
    forms = {key}
    if len(key) > 3 and key.endswith("s") and not key.endswith("ss"):
        forms.add(key[:-1])
        if key.endswith("ies"):
            forms.add(key[:-3] + "y")
        if key.endswith(_SIBILANTS):
            forms.add(key[:-2])
    return forms
