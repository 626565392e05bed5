"""Words for a criterion from a language model (arXiv 2510.04564, section 3 and A.2.1)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, Final, Protocol, TYPE_CHECKING

from crl_qdrant.common.arguments import finite_number, whole_number
from crl_qdrant.errors import InputError, MissingPackageError, VocabularyError
from crl_qdrant.vocabulary.answer import RefusalError, SCHEMA, shortened, UnusableAnswerError, words_in
from crl_qdrant.vocabulary.cleaning import cleaned_words
from crl_qdrant.vocabulary.packaged import packaged_names
from crl_qdrant.vocabulary.prompts import PAPER_PROMPT, question

if TYPE_CHECKING:
    from anthropic import Anthropic
    from tenacity import RetryCallState

__all__ = ["LanguageModel", "WordSource"]

DEFAULT_MODEL: Final = "claude-haiku-5-5"

_MAX_TOKENS: Final = 16_000  # of an answer, with what the model thinks before it
_WORDS_A_ROUND: Final = 100  # as in the paper
_SPARE_ROUNDS: Final = 3
_REFUSALS: Final = 3  # a refusal at this attempt, or a later one, is final
_LONGEST_WAIT_S: Final = 120.0  # who is asked to wait longer is told so instead

_ADVICE: Final = {
    401: "check the key in ANTHROPIC_API_KEY or api_key=",
    403: "check what the key may do",
    404: "choose a model that there is, with model= or in CRL_QDRANT_MODEL",
}


class WordSource(Protocol):
    """A source of words for a criterion: a `LanguageModel`, or any function with this signature."""

    def __call__(self, name: str, *, n_words: int | None = None, domain: str | None = None) -> list[str]:
        """Return two to `n_words` different words for the criterion `name` of objects that are `domain`."""


class LanguageModel:
    """Words for a criterion from one of Anthropic's models.

    The answer is structured output, checked against its schema and cleaned by `cleaned_words`. A failure that may pass
    is tried again, with exponential backoff and jitter, and no sooner than the service asks. Such failures are rate
    limits, overload, errors of the server, time-outs and lost connections. An answer that is refused, malformed, cut
    off or without usable words is asked for again too.

    Args:
        model: the model's id; by default CRL_QDRANT_MODEL from the environment, else "claude-haiku-5-5".
        api_key: by default ANTHROPIC_API_KEY from the environment.
        base_url: where the API is; by default ANTHROPIC_BASE_URL from the environment, else Anthropic's.
        prompt: the question, with "{criterion}" once for the criterion's name.
        temperature: from 0 to 1, for a model that takes one (up to Claude 4.6). None sends none: current models refuse
            any, and the API's own default is 1, the paper's choice.
        timeout_s: seconds without a byte from the service before the next attempt.
        attempts: the largest number of requests for one answer.

    Raises:
        MissingPackageError: if anthropic or tenacity is not installed.
        VocabularyError: if there is no key.
        InputError: if an argument is out of range.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        prompt: str = PAPER_PROMPT,
        temperature: float | None = None,
        timeout_s: float = 60.0,
        attempts: int = 5,
    ) -> None:
        try:
            import anthropic  # noqa: F401
            import tenacity  # noqa: F401
        except ImportError as error:
            raise MissingPackageError(
                f'a language model needs anthropic and tenacity: pip install "crl-qdrant[anthropic]" ({error})'
            ) from error
        if not isinstance(prompt, str) or prompt.count("{criterion}") != 1:
            raise InputError(f"`prompt` must have '{{criterion}}' once, for the name, got {prompt!r}")
        if base_url is not None and not str(base_url).startswith(("http://", "https://")):
            raise InputError(f"`base_url` must begin with http:// or https://, got {base_url!r}")
        self.model = model or os.environ.get("CRL_QDRANT_MODEL") or DEFAULT_MODEL
        self.prompt = prompt
        self._base_url = base_url
        self._temperature = (
            None if temperature is None else finite_number("temperature", temperature, least=0.0, most=1.0)
        )
        self._timeout_s = finite_number("timeout_s", timeout_s, least=0.001, most=3600.0)
        self._attempts = whole_number("attempts", attempts, least=1)
        self._key = _key(api_key)

    def __repr__(self) -> str:
        return f"LanguageModel({self.model!r})"

    def __call__(self, name: str, *, n_words: int | None = None, domain: str | None = None) -> list[str]:
        """Return at least two different words for values of a criterion.

        Args:
            name: the criterion: "colour", "sleeve_length"; "_" stands for a space.
            n_words: how many, at least two; None for as many as the model gives in one answer. As in the paper 100
                are asked for at a time, until there are enough. Fewer are returned if a round brings nothing new, or
                if three rounds more than needed are not enough.
            domain: the kind of objects ("women's shoes"), given to the model in a sentence of its own.

        Raises:
            VocabularyError: if no answer is usable after all attempts, or a failure cannot pass (a bad key, an
                unknown model). The message has the failure, the number of attempts, and a fix.
            InputError: if the name or domain is blank, or n_words < 2.
        """
        from anthropic import Anthropic

        _not_blank("name", name)
        if domain is not None:
            _not_blank("domain", domain)
        if n_words is not None:
            n_words = whole_number("n_words", n_words, least=2)
        rounds = 1 if n_words is None else math.ceil(n_words / _WORDS_A_ROUND) + _SPARE_ROUNDS
        words: list[str] = []
        # the SDK tries nothing again: with two mechanisms their attempts would multiply
        with Anthropic(api_key=self._key, base_url=self._base_url, timeout=self._timeout_s, max_retries=0) as client:
            for _ in range(rounds):
                before = len(words)
                missing = None if n_words is None else min(n_words - before, _WORDS_A_ROUND)
                asked = question(self.prompt, name, n_words=missing, domain=domain, known=words)
                words = self._lengthened(words, client, name, asked)
                if n_words is None or not before < len(words) < n_words:
                    break
        return words[:n_words]

    def _lengthened(self, words: list[str], client: Anthropic, name: str, asked: str) -> list[str]:
        """Return `words` and those of one more answer, asked for until it is usable or the attempts are over."""
        from anthropic import APIError
        from tenacity import retry_if_exception, Retrying

        def ask() -> list[str]:
            answer = words_in(self._response(client, asked))
            longer = cleaned_words([*words, *answer], name=name)
            if len(longer) < 2:
                raise UnusableAnswerError(f"the answer had fewer than two usable words: {shortened(repr(answer))}")
            return longer

        trying = Retrying(stop=self._is_last, wait=_wait(), retry=retry_if_exception(_may_pass), reraise=True)
        try:
            return trying(ask)
        except (APIError, UnusableAnswerError) as error:
            attempts = trying.statistics["attempt_number"]
            what, advice = self._told(error)
            # without its cause, whose request holds the key
            raise VocabularyError(
                f"no words for {name!r} from {self.model} after {attempts} attempt{'s' if attempts > 1 else ''}: "
                f"{what.replace(self._key, '…')}; {advice}, or {_instead()}"
            ) from None

    def _response(self, client: Anthropic, asked: str) -> bytes:
        body = headers = None
        if self._temperature is not None:
            # neither the SDK's methods nor newer versions of the API have it
            body, headers = {"temperature": self._temperature}, {"anthropic-version": "2023-06-01"}
        # raw, because the SDK makes objects without checking them, and not every server is Anthropic's
        response = client.messages.with_raw_response.create(
            model=self.model,
            max_tokens=_MAX_TOKENS,
            messages=[{"role": "user", "content": asked}],
            output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
            extra_body=body,
            extra_headers=headers,
        )
        return response.read()

    def _is_last(self, state: RetryCallState) -> bool:
        refused = state.outcome is not None and isinstance(state.outcome.exception(), RefusalError)
        return state.attempt_number >= (min(_REFUSALS, self._attempts) if refused else self._attempts)

    def _told(self, error: Exception) -> tuple[str, str]:
        """Describe a failure: what happened, and what to do."""
        from anthropic import APIConnectionError, APIStatusError, APITimeoutError

        if isinstance(error, UnusableAnswerError):
            return error.what, error.advice
        if isinstance(error, APITimeoutError):
            return f"no answer within {self._timeout_s:g} s", "raise timeout_s"
        if isinstance(error, APIConnectionError):
            return f"connection failed: {shortened(str(error.__cause__ or error))}", "check the network and base_url"
        if not isinstance(error, APIStatusError):
            return shortened(str(error)), "try again later"
        what = error.message.removeprefix(f"Error code: {error.status_code} - ")
        if _passing(error.status_code):
            wait_s = _asked_wait_s(error)
            advice = "try again later" if wait_s is None else f"try again in {wait_s:g} s"
        elif error.status_code == 400 and self._temperature is not None:
            advice = "leave out temperature, or choose a model that takes one"
        else:
            advice = _ADVICE.get(error.status_code, "mend what it says, or choose another model")
        return f"HTTP {error.status_code}, {shortened(what)}", advice


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed."""
    from anthropic import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        return _passing(error.status_code) and (_asked_wait_s(error) or 0.0) <= _LONGEST_WAIT_S
    return isinstance(error, (APIConnectionError, UnusableAnswerError))


def _passing(status: int) -> bool:
    return status in (408, 409, 429) or status >= 500


def _wait() -> Callable[[RetryCallState], float]:
    """Return a function for the seconds before an attempt: 1, 2, 4, … 30 plus jitter, or as the service asks."""
    from tenacity import wait_exponential_jitter

    backoff = wait_exponential_jitter(initial=1.0, max=30.0)

    def seconds(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return max(backoff(state), _asked_wait_s(error) or 0.0)

    return seconds


def _asked_wait_s(error: BaseException | None) -> float | None:
    """Return the seconds that the response asks to wait; None where it names none, or a date."""
    from anthropic import APIStatusError

    if not isinstance(error, APIStatusError):
        return None
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if seconds > 0.0 else None


def _key(api_key: str | None) -> str:
    key = (api_key or os.environ.get("ANTHROPIC_API_KEY") or "").strip()
    if not key:
        lists = ", ".join(packaged_names())
        raise VocabularyError(f"there is no key for a language model: set ANTHROPIC_API_KEY, or {_instead()}: {lists}")
    if not key.isascii() or not key.isprintable():
        raise VocabularyError(
            f"the key has characters that no key can have: set ANTHROPIC_API_KEY again, or {_instead()}"
        )
    return key


def _instead() -> str:
    return "give the words yourself, or use one of the packaged lists"


def _not_blank(name: str, text: Any) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"`{name}` must be a text that is not blank, got {text!r}")
