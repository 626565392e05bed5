"""A criterion: the respect in which things are to be alike, as words that describe it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arguments import is_scalar
from crl_qdrant.common.arrays import Float32Array, from_base64, to_base64, unit_rows
from crl_qdrant.errors import CriterionError
from crl_qdrant.projection.options import check_names, Options, PRESETS

__all__ = ["Criterion"]

_NAME = re.compile(r"\w[\w.-]{0,63}")  # of a name without its combining marks, as many scripts have
_LONGEST_NAME = 160  # bytes; the engine makes files of it, whose names have 255 at most
_RESERVED = ("image", "modifier")  # other scores of a hit are called so


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Criterion:
    """The words of one criterion, the prompt they are embedded in, and how they become a projection. Immutable.

    Args:
        name: what the criterion is called; its named vector is `crl_<name>`.
        words: K >= 2 different texts that describe values of the criterion ("denim", "linen", …).
        prompt: the sentence a word is embedded in, "{}" standing for the word, or several, whose embeddings are
            averaged; by default the paper's, "objects with the <name> of {}" (arXiv 2510.04564, section A.2).
        embeddings: [K, d], any float type: the words' embeddings where you bring your own; rows are
            scaled to unit length. None: the collection's encoder embeds the words.
        preset: a name from `PRESETS`: "paper" is R = I Tᵀ as it is written. With two words the default is the
            paper's form too, since centring leaves two words one direction.
        **options: single options of `Options` that differ from the preset's: center, sharpen, blend, rest,
            dimensions, weighting, energy, rank, suppress, suppress_rank, tangent,
            smooth.

    Attributes:
        options: the `Options` that preset and options come to.

    Raises:
        CriterionError: fewer than two words, blank or duplicate ones, a prompt without "{}", an unknown preset or
            option, or one out of its range.
        EmbeddingError: embeddings that are not [K, d], or with NaN or zero rows.
    """

    name: str
    words: tuple[str, ...]
    prompts: tuple[str, ...]
    embeddings: Float32Array | None
    options: Options

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        *,
        prompt: str | Sequence[str] = "",
        embeddings: npt.ArrayLike | None = None,
        preset: str = "default",
        **options: Any,
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(_without_marks(name)):
            raise CriterionError(
                f"a criterion's name is letters, digits, '_', '-' or '.', 64 at most, and starts with no '-' or '.'; "
                f"got {name!r}"
            )
        if len(name.encode()) > _LONGEST_NAME or name in _RESERVED:
            raise CriterionError(
                f"a criterion's name has at most {_LONGEST_NAME} bytes in UTF-8 and is not "
                f"{' or '.join(map(repr, _RESERVED))}, which a hit's other scores are called; got {name!r}"
            )
        checked = _checked_words(name, words)
        if embeddings is not None:
            embeddings = unit_rows(embeddings, rows=len(checked), what=f"the embeddings of criterion {name!r}")
        values = {
            "name": name,
            "words": checked,
            "prompts": _checked_prompts(name, prompt),
            "embeddings": embeddings,
            "options": _checked_options(name, preset, options, words=len(checked)),
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    def __repr__(self) -> str:
        return f"Criterion({self.name!r}, {len(self.words)} words, {self.options})"

    @property
    def prompt(self) -> str:
        """The sentence a word is embedded in; the first, where there are several."""
        return self.prompts[0]

    @property
    def texts(self) -> list[str]:
        """The sentences that are embedded: each of the K words in the prompt; with Q prompts Q·K, prompt by prompt."""
        return [prompt.replace("{}", word) for prompt in self.prompts for word in self.words]

    def with_embeddings(self, embeddings: npt.NDArray[Any] | None) -> Criterion:
        """The same criterion with its words embedded, or without; see `embeddings` above for shape and errors."""
        return self._changed(embeddings=embeddings)

    def with_options(self, preset: str | None = None, **options: Any) -> Criterion:
        """The same words under another preset, or with single options changed."""
        kept = {} if preset is not None else self.options.to_dict()
        return self._changed(preset=preset or "default", **{**kept, **options})

    def with_name(self, name: str) -> Criterion:
        """The same words and options under another name; the prompt stays as it is."""
        return self._changed(name=name)

    def same_words(self, other: Criterion) -> bool:
        """Whether the two have the same embeddings, if one encoder embeds both."""
        if self.embeddings is not None and other.embeddings is not None:
            return self.words == other.words and np.array_equal(self.embeddings, other.embeddings)
        return (self.words, self.prompts) == (other.words, other.prompts)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy; `from_dict` reads it back."""
        entry: dict[str, Any] = {
            "name": self.name,
            "words": list(self.words),
            "prompts": list(self.prompts),
            "options": self.options.to_dict(),
        }
        if self.embeddings is not None:
            entry["embeddings"] = to_base64(self.embeddings)
        return entry

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Criterion:
        """The criterion that `to_dict` wrote."""
        words, packed = entry["words"], entry.get("embeddings")
        embeddings = None if packed is None else from_base64(packed, rows=len(words))
        options = Options.from_dict(entry["options"])
        return cls(entry["name"], words, prompt=entry["prompts"], embeddings=embeddings, **options.to_dict())

    def _changed(self, **changes: Any) -> Criterion:
        kept: dict[str, Any] = {
            "name": self.name,
            "words": self.words,
            "prompt": self.prompts,
            "embeddings": self.embeddings,
        }
        options = {} if "preset" in changes else self.options.to_dict()
        return Criterion(**{**kept, **options, **changes})


def _without_marks(name: str) -> str:
    return "".join(each for each in name if not unicodedata.category(each).startswith("M"))


def _checked_options(name: str, preset: str, options: Mapping[str, Any], *, words: int) -> Options:
    if not isinstance(preset, str) or preset not in PRESETS:
        raise CriterionError(f"preset of criterion {name!r} is one of {', '.join(PRESETS)}, got {preset!r}")
    base = PRESETS["paper" if preset == "default" and words == 2 else preset]
    try:
        check_names(options)
        return replace(base, **options)
    except CriterionError as error:
        raise CriterionError(f"criterion {name!r}: {error}") from error


def _checked_prompts(name: str, prompt: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(prompt, Iterable):
        raise CriterionError(f"the prompt of criterion {name!r} is a text or a list of texts, got {prompt!r}")
    prompts = (
        (prompt or f"objects with the {name.replace('_', ' ')} of {{}}",) if isinstance(prompt, str) else tuple(prompt)
    )
    for each in prompts:
        if not isinstance(each, str) or each.count("{}") != 1:
            raise CriterionError(
                f"the prompt of criterion {name!r} must hold '{{}}' once, where the word goes; got {each!r}"
            )
    if not prompts:
        raise CriterionError(f"criterion {name!r} needs at least one prompt; leave prompt out for the paper's")
    return prompts


def _checked_words(name: str, words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, (str, bytes)) or not isinstance(words, Iterable) or is_scalar(words):
        raise CriterionError(f"the words of criterion {name!r} are a list of texts, got {words!r}")
    cleaned = tuple(" ".join(word.split()) if isinstance(word, str) else word for word in words)
    strange = [word for word in cleaned if not isinstance(word, str)]
    if strange:
        raise CriterionError(f"the words of criterion {name!r} must be texts, got {strange[0]!r}")
    for word in cleaned:
        try:
            word.encode()
        except UnicodeEncodeError as error:  # half of a letter, as damaged files have
            raise CriterionError(f"word {word!r} of criterion {name!r} cannot be stored as text: {error}") from error
    if "" in cleaned:
        raise CriterionError(f"word {cleaned.index('') + 1} of criterion {name!r} is blank; leave it out")
    repeated = [word for word, times in Counter(word.casefold() for word in cleaned).items() if times > 1]
    if repeated:
        raise CriterionError(
            f"criterion {name!r} has words more than once: {', '.join(repeated[:5])}; keep one of each"
        )
    if len(cleaned) < 2:
        raise CriterionError(
            f"criterion {name!r} needs at least two different words, got {list(cleaned)}: "
            "with one, every image is equally similar"
        )
    return cleaned
