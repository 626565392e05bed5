"""Without a network: told at once, in one line, with what to do; what is in the cache is loaded."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from huggingface_hub import constants, hf_hub_download, is_offline_mode

from crl_qdrant import EncoderError
from crl_qdrant.encoders import load_encoder
from crl_qdrant.encoders.hub import hub


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("crl_qdrant.encoders.hub.getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    def connect(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("crl_qdrant.encoders.hub.socket.create_connection", connect)


@pytest.mark.parametrize(
    "name", ["open_clip:ViT-B-32/laion2b_s34b_b79k", "transformers:google/siglip2-base-patch16-224"]
)
def test_one_line_that_says_what_to_do(name: str, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(EncoderError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        load_encoder(name, device="cpu")
    for advice in (name, "HF_HUB_OFFLINE", "local-dir:<folder>"):
        assert advice in str(caught.value)
    assert not [each for each in caplog.records if each.name.startswith(("root", "huggingface_hub"))]
    assert capfd.readouterr().err == ""
    assert logging.getLogger().handlers == handlers
    assert not is_offline_mode()


def test_the_network_is_left_alone_while_loading() -> None:
    with hub(local=True):
        assert not is_offline_mode()
    with pytest.raises(EncoderError, match="not fetched before"), hub(local=False):
        assert is_offline_mode()
        hf_hub_download("owner/model", "weights.bin")


def test_where_the_user_forbids_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="HF_HUB_OFFLINE forbids the network"), hub(local=False):
        hf_hub_download("owner/model", "weights.bin")


def test_where_the_hub_can_be_reached_errors_are_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crl_qdrant.encoders.hub.getproxies", lambda: {"https": "http://proxy"})
    with pytest.raises(KeyError), hub(local=False):
        raise KeyError("theirs")
