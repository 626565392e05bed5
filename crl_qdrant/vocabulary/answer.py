"""Checks that a message of the Messages API is a list of words."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["RefusalError", "SCHEMA", "shortened", "UnusableAnswerError", "words_in"]

_MOST_WORDS: Final = 1_000  # the paper's longest list has 512: beyond this a model is in a loop


class UnusableAnswerError(Exception):
    """An answer without usable words; another attempt may give some. Callers of this package never see it."""

    def __init__(self, what: str, advice: str = "choose another model") -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice


class RefusalError(UnusableAnswerError):
    """The model refused to answer."""


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid")

    words: list[str]


class _Block(BaseModel):
    type: str
    text: str = ""


class _Message(BaseModel):
    content: list[_Block]
    stop_reason: str | None = None


SCHEMA: Final[dict[str, Any]] = _Words.model_json_schema()
"""JSON schema of the answer's text: an object with the list `words` and nothing else."""


def words_in(body: bytes) -> list[str]:
    """Return the words of a response's body, as the model wrote them.

    Raises:
        UnusableAnswerError: if it is no message, or one that is refused, cut off, empty, not of the schema or has more
            than 1,000 words.
    """
    try:
        message = _Message.model_validate_json(body)
    except ValidationError as error:
        what = f"the response is not a message of the Messages API: {shortened(body.decode(errors='replace'))}"
        raise UnusableAnswerError(what, "check base_url") from error
    if message.stop_reason == "refusal":
        raise RefusalError("the model refused to answer", "reword the prompt or the criterion's name")
    if message.stop_reason in ("max_tokens", "model_context_window_exceeded"):
        raise UnusableAnswerError("the answer was cut off, it was too long", "ask for a number of words with n_words=")
    text = "".join(block.text for block in message.content if block.type == "text")
    if not text.strip():
        raise UnusableAnswerError("the answer was empty")
    try:
        words = _Words.model_validate_json(text).words
    except ValidationError as error:
        raise UnusableAnswerError(f'the answer was not {{"words": ["…", …]}} but {shortened(text)}') from error
    if len(words) > _MOST_WORDS:
        raise UnusableAnswerError(f"the answer had {len(words)} words, {_MOST_WORDS} are the most that one may have")
    return words


def shortened(text: str) -> str:
    """Return the beginning of a foreign text on one line, for a message."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}…"
