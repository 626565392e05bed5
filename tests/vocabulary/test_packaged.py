from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import combinations

import pytest

from crl_qdrant import Criterion, InputError
from crl_qdrant.vocabulary import packaged_names, packaged_words
from crl_qdrant.vocabulary.packaged import _ALIASES, _key

NAMES = packaged_names()


def words_of(name: str) -> list[str]:
    words = packaged_words(name)
    assert words is not None
    return words


def singular(word: str) -> str:
    """The word without case, hyphens and, by the simple rule, plurals."""
    parts = re.split(r"[\s-]+", word.casefold())
    return " ".join(re.sub(r"(?:(?<=[sxz])|(?<=[cs]h))es$|s$", "", re.sub(r"ies$", "y", part)) for part in parts)


def test_there_are_lists_for_a_shop() -> None:
    assert len(NAMES) >= 24
    assert sorted(NAMES) == NAMES
    assert {"colour", "fabric", "pattern", "silhouette", "room", "age_group"} <= {*NAMES}
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_list_is_clean_and_makes_a_criterion(name: str) -> None:
    words = words_of(name)
    assert 60 <= len(words) <= 200
    assert [word for word, times in Counter(map(singular, words)).items() if times > 1] == []
    assert [word for word in words if word != " ".join(word.split()) or not 0 < len(word) <= 40] == []
    assert [word for word in words if not unicodedata.is_normalized("NFC", word) or "," in word or "#" in word] == []
    # as they are in the file, so that the words a search reports are the words of the list
    assert list(Criterion(name, words).words) == words


def test_lists_differ() -> None:
    sets = {name: {word.casefold() for word in words_of(name)} for name in NAMES}
    for one, other in combinations(NAMES, 2):
        shared = len(sets[one] & sets[other]) / min(len(sets[one]), len(sets[other]))
        assert shared <= 0.4, f"{one} and {other} share {shared:.0%}"


def test_aliases_reach_one_list_each() -> None:
    assert {*_ALIASES} <= {*NAMES}
    aliases = [alias for of_one in _ALIASES.values() for alias in of_one]
    assert len({*aliases, *NAMES}) == len(aliases) + len(NAMES), "a name twice, or a list's own name"
    for name, of_one in _ALIASES.items():
        for alias in of_one:
            assert _key(alias) == alias
            assert packaged_words(alias) == words_of(name)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Color", "colour"),
        ("COLOURS", "colour"),
        ("hues", "colour"),
        ("textile", "fabric"),
        ("prints", "pattern"),
        ("finishes", "finish"),
        ("categories", "product_category"),
        ("scenes", "scene"),
        ("Age Group", "age_group"),
        ("  brand-feel ", "brand_feel"),
        ("print - theme", "print_theme"),
    ],
)
def test_a_name_may_be_written_in_several_ways(written: str, name: str) -> None:
    assert packaged_words(written) == words_of(name)


@pytest.mark.parametrize("name", ["flavour", "", "s", "_", "../lists/colour", "colour.txt", "colourful"])
def test_an_unknown_name_has_no_words(name: str) -> None:
    assert packaged_words(name) is None


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="got 7"):
        packaged_words(7)  # type: ignore[arg-type]


def test_a_caller_may_change_what_he_got() -> None:
    words_of("colour").clear()
    assert words_of("colour")[0] == "red"
