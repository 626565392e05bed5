"""A criterion: the respect in which things are to be alike, as words that describe it."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, KW_ONLY, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crl_qdrant.embeddings import from_base64, to_base64, unit_rows
from crl_qdrant.errors import CriterionError

__all__ = ["Criterion"]

_NAME = re.compile(r"\w[\w.-]{0,63}")


@dataclass(frozen=True, eq=False)
class Criterion:
    """The words of one criterion, the prompt they are embedded in, and how they become a projection.

    The defaults are the paper's (arXiv 2510.04564, sections 3 and A.2): every word is embedded as
    "objects with the <name> of <word>" and R = I Tᵀ is used as it is.

    Args:
        name: what the criterion is called; also the end of its named vector, `crl_<name>`.
        words: K >= 2 different texts that describe values of the criterion ("denim", "linen", …).
        prompt: the sentence a word is embedded in; "{}" stands for the word.
        embeddings: [K, d], any float type: the words' embeddings where you bring your own; rows are
            scaled to unit length. None: the collection's encoder embeds the words.
        weighting: exponent p of the singular values in P = V·Sᵖ. 1 is the paper, 0 an orthonormal
            basis of the words' span, -1 the pseudo-inverse.
        center: whether the mean of the words' embeddings is taken out of them first.
        energy: share of the squared singular values to keep, in (0, 1]; below 1 the named vector is
            smaller and the similarity approximate.

    Raises:
        CriterionError: fewer than two words, blank or duplicate ones, a prompt without "{}", an option
            out of its range.
        EmbeddingError: embeddings that are not [K, d], or with NaN or zero rows.
    """

    name: str
    words: Sequence[str]
    _: KW_ONLY
    prompt: str = ""
    embeddings: npt.NDArray[Any] | None = field(default=None, repr=False)
    weighting: float = 1.0
    center: bool = False
    energy: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise CriterionError(
                f"a criterion's name is letters, digits, '_', '-' or '.', 64 at most, and starts with no '-' or '.'; "
                f"got {self.name!r}"
            )
        object.__setattr__(self, "words", _checked_words(self.name, self.words))
        if not self.prompt:
            object.__setattr__(self, "prompt", f"objects with the {self.name} of {{}}")
        if not isinstance(self.prompt, str) or self.prompt.count("{}") != 1:
            raise CriterionError(
                f"the prompt of criterion {self.name!r} must hold '{{}}' once, where the word goes; got {self.prompt!r}"
            )
        if not isinstance(self.center, (bool, np.bool_)):
            raise CriterionError(f"center of criterion {self.name!r} is True or False, got {self.center!r}")
        object.__setattr__(self, "center", bool(self.center))
        for option in ("weighting", "energy"):
            try:
                object.__setattr__(self, option, float(getattr(self, option)))
            except (TypeError, ValueError) as error:
                raise CriterionError(f"{option} of criterion {self.name!r} must be a number: {error}") from error
        if not -2.0 <= self.weighting <= 2.0:
            raise CriterionError(f"weighting of criterion {self.name!r} must be from -2 to 2, got {self.weighting!r}")
        if not 0.0 < self.energy <= 1.0:
            raise CriterionError(
                f"energy of criterion {self.name!r} must be above 0 and at most 1, got {self.energy!r}"
            )
        if self.embeddings is not None:
            what = f"the embeddings of criterion {self.name!r}"
            object.__setattr__(self, "embeddings", unit_rows(self.embeddings, rows=len(self.words), what=what))

    @property
    def texts(self) -> list[str]:
        """The K sentences that are embedded: each word in the prompt."""
        return [self.prompt.replace("{}", word) for word in self.words]

    @property
    def vector_name(self) -> str:
        """Name of the named vector that holds this criterion's conditional representations."""
        return f"crl_{self.name}"

    def with_embeddings(self, embeddings: npt.NDArray[Any]) -> Criterion:
        """The same criterion with its words embedded; see `embeddings` above for shape and errors."""
        return replace(self, embeddings=embeddings)

    def fingerprint(self, encoder: str | None) -> str:
        """16 hex digits that change with anything that changes the projection.

        Args:
            encoder: name of the encoder of the words; it counts only where the embeddings are not given,
                since the same text in the same encoder is the same embedding.
        """
        content: dict[str, Any] = {"words": list(self.words), "options": self._options()}
        if self.embeddings is None:
            content |= {"encoder": encoder, "prompt": self.prompt}
        else:
            content["embeddings"] = hashlib.sha256(np.ascontiguousarray(self.embeddings).tobytes()).hexdigest()
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy; `from_dict` reads it back."""
        entry: dict[str, Any] = {"name": self.name, "words": list(self.words), "prompt": self.prompt, **self._options()}
        if self.embeddings is not None:
            entry["embeddings"] = to_base64(self.embeddings)
        return entry

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Criterion:
        """The criterion that `to_dict` wrote."""
        content = dict(entry)
        if "embeddings" in content:
            content["embeddings"] = from_base64(content["embeddings"], rows=len(content["words"]))
        return cls(**content)

    def _options(self) -> dict[str, Any]:
        return {"weighting": self.weighting, "center": self.center, "energy": self.energy}


def _checked_words(name: str, words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, (str, bytes)) or not isinstance(words, Iterable):
        raise CriterionError(f"the words of criterion {name!r} are a list of texts, got {words!r}")
    cleaned = tuple(" ".join(word.split()) if isinstance(word, str) else word for word in words)
    strange = [word for word in cleaned if not isinstance(word, str)]
    if strange:
        raise CriterionError(f"the words of criterion {name!r} must be texts, got {strange[0]!r}")
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
