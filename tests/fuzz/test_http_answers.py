"""Fuzzing of a server's answers: whatever a port, a proxy or a damaged server says, it ends in an error of ours."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from fuzzing import fuzz, odd_text
from qdrant_client import models

from crl_qdrant import CRLCollection

STATUSES = [200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 507]
RESULTS: list[Any] = [None, True, False, 0, "", [], {}, {"points": []}, {"points": None}, {"points": [{"id": "x"}]}]
RESULTS += [
    {"points": [{"id": 1, "version": 0, "score": "high"}], "next_page_offset": {}},
    {"count": -1},
    {"count": "a"},
]
RESULTS += [{"exists": "perhaps"}, {"exists": True}, {"exists": False}, {"status": "green"}, {"collections": [{}]}]
RESULTS += [{"operation_id": 1, "status": "completed"}, {"operation_id": None, "status": "odd"}]
RESULTS += [{"status": "green", "config": {"params": {}, "metadata": {"crl": 7}}}]


class Server(ThreadingHTTPServer):
    """Answers every request with what `answer` makes at that time."""

    daemon_threads = True
    rng = random.Random(0)

    def answer(self) -> tuple[int, str, bytes]:
        rng = self.rng
        body = json.dumps({"result": rng.choice(RESULTS), "status": rng.choice(["ok", {"error": odd_text(rng)}, None])})
        plain = [b"", b"null", b"[]", b"\xff\xfe", b"<html>502 Bad Gateway</html>", b'{"result": ', b"x" * 10_000]
        content = rng.choice([body.encode(), body.encode(), body.encode(), *plain])
        return rng.choice(STATUSES), rng.choice(["application/json", "text/html", ""]), content


class Handler(BaseHTTPRequestHandler):
    """One request, whatever its method."""

    def reply(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        assert isinstance(self.server, Server)
        status, kind, body = self.server.answer()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = reply  # noqa: N815 - the names that the base class calls

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.filterwarnings("ignore")  # the client warns of a version that it cannot read
def test_answers(server: Server) -> None:
    location = f"http://127.0.0.1:{server.server_address[1]}"

    def answers(rng: random.Random) -> None:
        server.rng = rng
        call = rng.randrange(2)
        opened = (
            CRLCollection.open("products", location=location)
            if call
            else CRLCollection.create("products", location=location, dimension=4)
        )
        with opened as products:
            products.add([1], embeddings=np.ones((1, 4)))
            products.search(embedding=np.ones(4), query_filter=models.Filter(must=[]))
            products.info()

    fuzz(answers, share=0.3)
