"""Words from a language model: the real SDK against a stand-in on this machine that speaks the Messages API."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from anthropic.types import Model
from hypothesis import given
from hypothesis import strategies as st
from waiting import ctrl_c_when

from crl_qdrant import InputError, MissingPackageError, VocabularyError
from crl_qdrant.vocabulary import cleaned_words, LanguageModel, PAPER_PROMPT, PROMPTS, WordSource

KEY = "key-of-the-tests-0123"
ATTEMPTS = 5


@dataclass
class Reply:
    """What the stand-in does with one request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    breaks_off: bool = False
    never_comes: bool = False


@dataclass
class StandIn:
    """A server whose replies are given one after the other, the last one for ever."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    requests: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def asked(self) -> list[str]:
        return [body["messages"][0]["content"] for _, body in self.requests]

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def message(content: list[dict[str, Any]], stop_reason: str = "end_turn") -> Reply:
    whole = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 60, "output_tokens": 30},
    }
    return Reply(json.dumps(whole).encode())


def text(content: str, stop_reason: str = "end_turn") -> Reply:
    return message([{"type": "text", "text": content}], stop_reason)


def words(*given: str) -> Reply:
    return text(json.dumps({"words": given}))


def failure(status: int, kind: str, **headers: str) -> Reply:
    body = {"type": "error", "error": {"type": kind, "message": f"this is a {kind}"}, "request_id": "req_01"}
    fields = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps(body).encode(), status, fields)


GOOD = words("red", "crimson", "scarlet")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")] + ["CRL_QDRANT_MODEL"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/v1/messages"
            service.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            reply = service.next_reply()
            self.close_connection = True
            if reply.never_comes:
                service.closing.wait(30)
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body) + 100 * reply.breaks_off))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            """The tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = StandIn(f"http://127.0.0.1:{server.server_port}", [GOOD])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield service
    service.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds between attempts, which are noted and not waited."""
    seconds: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", seconds.append)
    return seconds


def model(service: StandIn, **options: Any) -> LanguageModel:
    return LanguageModel(**{"api_key": KEY, "base_url": service.url, "timeout_s": 10, "attempts": ATTEMPTS} | options)


# what the service does: its reply, what the error then says, and how often it is asked where it never gets better
PASSING = {
    "refusal": (message([], "refusal"), "refused to answer; reword the prompt", 3),
    "refusal in words": (text("I would rather not.", "refusal"), "refused to answer", 3),
    "malformed JSON": (text('{"words": ["red", "crimson'), r'was not .* but \{"words": \["red"', ATTEMPTS),
    "prose": (text("Here are some: red, crimson."), "was not .* but Here are some", ATTEMPTS),
    "a bare list": (text('["red", "crimson"]'), "the answer was not", ATTEMPTS),
    "another key": (text('{"colours": ["red", "crimson"]}'), "the answer was not", ATTEMPTS),
    "numbers": (text('{"words": [1, 2, 3]}'), "the answer was not", ATTEMPTS),
    "a text for a list": (text('{"words": "red, crimson"}'), "the answer was not", ATTEMPTS),
    "empty list": (words(), r"fewer than two usable words: \[\]", ATTEMPTS),
    "one word": (words("red"), r"fewer than two usable words: \['red'\]", ATTEMPTS),
    "all duplicates": (words("red", "Red", "reds", "red."), "fewer than two usable words", ATTEMPTS),
    "only its own name": (words("colour", "Colours"), "fewer than two usable words", ATTEMPTS),
    "cut off": (text('{"words": ["red", "crim', "max_tokens"), "cut off.* n_words=", ATTEMPTS),
    "cut off where it parses": (text('{"words": ["red", "crimson"]}', "max_tokens"), "cut off", ATTEMPTS),
    "window exceeded": (text('{"words": ["red"', "model_context_window_exceeded"), "cut off", ATTEMPTS),
    "10,000 words": (words(*(f"red {n}" for n in range(10_000))), "10000 words, 1000 are the most", ATTEMPTS),
    "words of 5,000 characters": (words("red" * 1_700, "blue" * 1_250), "fewer than two usable words", ATTEMPTS),
    "no content": (message([]), "the answer was empty", ATTEMPTS),
    "empty text": (text(" "), "the answer was empty", ATTEMPTS),
    "thoughts and no answer": (message([{"type": "thinking", "thinking": "…", "signature": ""}]), "empty", ATTEMPTS),
    "HTML": (
        Reply(b"<html>hello", headers={"content-type": "text/html"}),
        "not a message .*<html>hello",
        ATTEMPTS,
    ),
    "HTML called JSON": (Reply(b"<html>hello"), "not a message of the Messages API", ATTEMPTS),
    "JSON of something else": (Reply(b'{"content": null}'), "not a message of the Messages API", ATTEMPTS),
    "no body": (Reply(), "not a message of the Messages API", ATTEMPTS),
    "no UTF-8": (Reply(b"\xff\xfe"), "not a message of the Messages API", ATTEMPTS),
    "429": (failure(429, "rate_limit_error"), "HTTP 429, .*rate_limit_error.*; try again later", ATTEMPTS),
    "429 with retry-after": (failure(429, "rate_limit_error", retry_after="7"), "429.* again in 7 s", ATTEMPTS),
    "429 with a date": (failure(429, "rate_limit_error", retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), "429", ATTEMPTS),
    "408": (failure(408, "timeout_error"), "HTTP 408", ATTEMPTS),
    "409": (failure(409, "conflict_error"), "HTTP 409", ATTEMPTS),
    "500": (failure(500, "api_error"), "HTTP 500, .*this is a api_error", ATTEMPTS),
    "502 from a gateway": (Reply(b"<html>" + b"x" * 5_000, 502, {"content-type": "text/html"}), "HTTP 502", ATTEMPTS),
    "529": (failure(529, "overloaded_error"), "HTTP 529, .*overloaded_error", ATTEMPTS),
    "time-out": (Reply(never_comes=True), "no answer within 0.2 s; raise timeout_s", ATTEMPTS),
    "connection lost": (Reply(b'{"id": "msg', breaks_off=True), "connection failed.*; check the network", ATTEMPTS),
}
FINAL = {
    "400": (failure(400, "invalid_request_error"), "HTTP 400, .*this is a invalid_request_error.*; mend"),
    "401": (failure(401, "authentication_error"), "HTTP 401.*; check the key in ANTHROPIC_API_KEY"),
    "402": (failure(402, "billing_error"), "HTTP 402, .*this is a billing_error"),
    "403": (failure(403, "permission_error"), "HTTP 403.*; check what the key may do"),
    "404": (failure(404, "not_found_error"), "HTTP 404.*; choose a model .*CRL_QDRANT_MODEL"),
    "413": (failure(413, "request_too_large"), "HTTP 413"),
    "429 for an hour": (failure(429, "rate_limit_error", retry_after="3600"), "HTTP 429.*; try again in 3600 s"),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_may_pass_is_tried_again(service: StandIn, waits: list[float], kind: str) -> None:
    bad, said, often = PASSING[kind]
    ask = model(service, timeout_s=0.2 if bad.never_comes else 10)
    service.replies = [bad, GOOD]
    assert ask("colour") == ["red", "crimson", "scarlet"]
    assert len(service.requests) == 2
    assert len(waits) == 1

    service.requests.clear()
    service.replies = [bad]
    with pytest.raises(
        VocabularyError, match=f"^no words for 'colour' from .* after {often} attempts: .*{said}"
    ) as told:
        ask("colour")
    assert len(service.requests) == often
    assert "give the words yourself, or use one of the packaged lists" in str(told.value)
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("kind", FINAL)
def test_what_does_not_pass_is_not_tried_again(service: StandIn, waits: list[float], kind: str) -> None:
    bad, said = FINAL[kind]
    service.replies = [bad, GOOD]
    with pytest.raises(VocabularyError, match=f"after 1 attempt: {said}.*, or give the words yourself"):
        model(service)("colour")
    assert len(service.requests) == 1
    assert waits == []


def test_no_server(service: StandIn, waits: list[float]) -> None:
    for url in ("http://127.0.0.1:1", "http://"):
        with pytest.raises(
            VocabularyError, match=r"after 5 attempts: connection failed: .*; check the network and base_url"
        ):
            model(service, base_url=url)("colour")


def test_waits_grow_and_are_never_shorter_than_asked(service: StandIn, waits: list[float]) -> None:
    service.replies = [failure(529, "overloaded_error")]
    with pytest.raises(VocabularyError):
        model(service, attempts=8)("colour")
    assert all(least <= wait <= min(least + 1, 30) for least, wait in zip([1, 2, 4, 8, 16, 30, 30], waits, strict=True))
    assert len({wait % 1 for wait in waits[:5]}) > 1  # by chance, so that many clients do not come back together

    waits.clear()
    service.replies = [failure(429, "rate_limit_error", retry_after=seconds) for seconds in ("7", "0", "-3", "nan")]
    with pytest.raises(VocabularyError):
        model(service)("colour")
    assert waits[0] == 7
    assert 2 <= waits[1] <= 3


def test_one_attempt_is_one(service: StandIn, waits: list[float]) -> None:
    for bad in (message([], "refusal"), failure(500, "api_error")):
        service.requests.clear()
        service.replies = [bad]
        with pytest.raises(VocabularyError, match="after 1 attempt:"):
            model(service, attempts=1)("colour")
        assert len(service.requests) == 1


def test_ctrl_c_ends_a_wait(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    real_sleep, asleep = time.sleep, threading.Event()

    def sleep(seconds: float) -> None:
        assert seconds == 100
        asleep.set()
        real_sleep(seconds)

    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=sleep))
    service.replies = [failure(429, "rate_limit_error", retry_after="100")]
    with pytest.raises(KeyboardInterrupt), ctrl_c_when(asleep.is_set):
        model(service)("colour")
    assert len(service.requests) == 1


def test_the_request(service: StandIn) -> None:
    ask: WordSource = model(service, model="claude-of-mine")
    ask("sleeve_length", domain="women's shoes")
    headers, body = service.requests[0]
    assert KEY in (headers.get("x-api-key"), headers.get("authorization", "").removeprefix("Bearer "))
    assert body["model"] == "claude-of-mine"
    assert service.asked == [
        "Please generate common expressions to describe the sleeve length, as many as possible. Ensure all items are "
        "unique. You may describe the same thing in different ways. The objects are women's shoes."
    ]
    assert body["output_config"]["format"]["type"] == "json_schema"
    schema = body["output_config"]["format"]["schema"]
    assert schema["properties"]["words"]["items"] == {"type": "string"}
    assert schema["required"] == ["words"]
    assert schema["additionalProperties"] is False
    assert not {"temperature", "top_p", "top_k"} & body.keys()  # current models refuse them


@pytest.mark.parametrize("prompt", [PAPER_PROMPT, *PROMPTS, "Words for {criterion}, in {braces}!"])
def test_any_prompt_with_a_place_for_the_name(service: StandIn, prompt: str) -> None:
    model(service, prompt=prompt)("colour {n} {criterion}")
    assert service.asked == [prompt.replace("{criterion}", "colour {n} {criterion}")]


def test_a_temperature_goes_to_the_version_of_the_api_that_takes_it(service: StandIn) -> None:
    model(service, temperature=0)("colour")
    headers, body = service.requests[0]
    assert body["temperature"] == 0
    assert headers["anthropic-version"] == "2023-06-01"
    service.replies = [failure(400, "invalid_request_error")]
    with pytest.raises(VocabularyError, match=r"HTTP 400.*; leave out temperature"):
        model(service, temperature=0.5)("colour")


def test_a_number_of_words_is_asked_for_in_rounds(service: StandIn) -> None:
    service.replies = [
        words("red", "crimson", "scarlet", "Reds"),
        message([{"type": "thinking", "thinking": "…", "signature": ""}, *json.loads(words("blue").body)["content"]]),
        words("blue", "navy", "green", "teal"),
    ]
    assert model(service)("colour", n_words=6) == ["red", "crimson", "scarlet", "blue", "navy", "green"]
    assert [asked.split(" expressions")[0] for asked in service.asked] == [
        "Please generate 6",
        "Please generate 3",
        "Please generate 2",
    ]
    assert service.asked[2].endswith("Leave out those that are there already: red, crimson, scarlet, blue.")


def test_a_round_with_nothing_new_is_the_last(service: StandIn) -> None:
    for nothing in (words(), words("Red")):
        service.requests.clear()
        service.replies = [words("red", "blue"), nothing]
        assert model(service)("colour", n_words=50) == ["red", "blue"]
        assert len(service.requests) == 2


def test_rounds_end(service: StandIn) -> None:
    service.replies = [words(*(f"shade {n} of {m}" for m in "ab")) for n in range(99)]
    assert len(model(service, prompt=PROMPTS[1])("colour", n_words=250)) == 2 * 6
    assert len(service.requests) == 3 + 3
    assert all(asked.split("{criterion}")[0].startswith("List a wide") for asked in service.asked)
    assert "Give 100 of them." in service.asked[0]


def test_a_failure_in_a_later_round_is_told(service: StandIn) -> None:
    service.replies = [words("red", "blue"), failure(401, "authentication_error")]
    with pytest.raises(VocabularyError, match="HTTP 401"):
        model(service)("colour", n_words=50)


def test_key_and_model_from_the_environment(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-the-environment\n")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", service.url)
    LanguageModel()("colour")
    monkeypatch.setenv("CRL_QDRANT_MODEL", "claude-of-the-environment")
    LanguageModel()("colour")
    LanguageModel("claude-of-mine", api_key=KEY)("colour")
    assert [body["model"] for _, body in service.requests] == [
        "claude-haiku-5-5",
        "claude-of-the-environment",
        "claude-of-mine",
    ]
    keys = [headers.get("x-api-key") or headers["authorization"][7:] for headers, _ in service.requests]
    assert keys == ["key-of-the-environment", "key-of-the-environment", KEY]


def test_the_default_model_is_one_the_sdk_knows() -> None:
    literal, _ = get_args(Model)
    assert LanguageModel(api_key=KEY).model in get_args(literal)


def test_without_a_key(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in (None, "", " \n"):
        with pytest.raises(VocabularyError, match=r"set ANTHROPIC_API_KEY, or give the words yourself.*packaged lists"):
            LanguageModel(api_key=key)
    with pytest.raises(VocabularyError, match="characters that no key can have"):
        LanguageModel(api_key="schlüssel")


def test_the_key_is_never_shown(service: StandIn, caplog: pytest.LogCaptureFixture, waits: list[float]) -> None:
    caplog.set_level("DEBUG")
    service.replies = [Reply(f"you sent {KEY}".encode(), 401), Reply(f"you sent {KEY}".encode())]
    ask = model(service)
    for _ in range(2):
        with pytest.raises(VocabularyError, match="you sent …") as told:
            ask("colour")
        assert KEY not in str(told.value)
        assert told.value.__cause__ is None
        assert told.value.__suppress_context__
    assert KEY not in repr(ask)
    assert KEY not in caplog.text


@pytest.mark.parametrize("package", ["anthropic", "tenacity"])
def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=r'pip install "crl-qdrant\[anthropic\]"'):
        LanguageModel(api_key=KEY)


def test_arguments_that_cannot_be_right(service: StandIn) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("`prompt` must have '{criterion}' once", {"prompt": "words for colour"}),
        ("`prompt` must have '{criterion}' once", {"prompt": "{criterion} or {criterion}"}),
        ("`base_url` must begin with http", {"base_url": "127.0.0.1:80"}),
        ("`temperature` must be from 0 to 1, got 1.5", {"temperature": 1.5}),
        ("`temperature` must be a number", {"temperature": "hot"}),
        ("`timeout_s` must be from 0.001 to 3600", {"timeout_s": 0}),
        ("`timeout_s` must be a number", {"timeout_s": None}),
        ("`attempts` must be at least 1", {"attempts": 0}),
    ]
    for said, options in cases:
        with pytest.raises(InputError, match=said):
            model(service, **options)
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("`name` must be a text", " ", {}),
        ("`domain` must be a text", "colour", {"domain": ""}),
        ("`n_words` must be at least 2", "colour", {"n_words": 1}),
    ]
    for said, name, call in calls:
        with pytest.raises(InputError, match=said):
            model(service)(name, **call)
    assert service.requests == []


def test_cleaned_words() -> None:
    answers = {
        "  deep \n red ": "deep red",
        "1. crimson": "crimson",
        "(2) scarlet,": "scarlet",
        "3)ruby": "ruby",
        "- “rose”": "rose",
        "• **wine**.": "wine",
        '"4. rust"': "rust",
        "1.5 inch heel": "1.5 inch heel",
        "7.": "7",
        "cafe\u0301": "café",
        "blue (navy)": "blue (navy)",
        "x" * 60: "x" * 60,
    }
    assert cleaned_words(answers, name="colour") == list(answers.values())
    assert cleaned_words(["", " ", "—", "2. ''", "x" * 61, "Colour", "colours"], name="colour") == []
    assert cleaned_words(["sleeve length", "Sleeve-Lengths", "long"], name="sleeve_length") == ["long"]


@pytest.mark.parametrize(
    ("same", "different"),
    [
        (["stripe", "Stripes", "STRIPE"], "strip"),
        (["polka dots", "polka dot", "polka-dot"], "dots"),
        (["dresses", "dress"], "dressy"),
        (["box", "boxes"], "boxy"),
        (["berries", "berry"], "berried"),
        (["house", "houses"], "horse"),
        (["cape", "capes"], "cap"),
        (["glass", "glasses"], "grass"),
        (["bra", "bras"], "brass"),
    ],
)
def test_plurals_are_one_word_and_the_first_is_kept(same: list[str], different: str) -> None:
    for first in (same, same[::-1]):
        assert cleaned_words([*first, different], name="pattern") == [first[0], different]
        assert cleaned_words([different, *first], name="pattern") == [different, first[0]]


@given(st.lists(st.text(max_size=20) | st.sampled_from(["1. 2. red", '"- red"', "Reds", "red.", "'(3) red'"])))
def test_clean_words_stay_as_they_are(answers: list[str]) -> None:
    once = cleaned_words(answers, name="colour")
    assert cleaned_words(once, name="colour") == once
