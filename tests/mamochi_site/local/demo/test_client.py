"""The demo's HTTP client."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mamochi_site.local.demo.client import Api, Refused, Stopped


@contextmanager
def server(*statuses: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run an HTTP server that answers with these statuses in turn; yield its URL and the bodies.

    With status 0 the connection is closed without an answer.
    """
    answers, bodies = iter(statuses), list[dict[str, Any]]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status = next(answers)
            if status:
                self.send_response(status)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, *_arguments: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", bodies
        finally:
            http.shutdown()


def test_post_is_repeated_until_accepted() -> None:
    with server(503, 0, 202) as (url, bodies):
        Api(url, threading.Event()).post("/ventas/", {"id": "a"})
    assert bodies == [{"id": "a"}] * 3


def test_refused_post_is_not_repeated() -> None:
    with server(400) as (url, bodies), pytest.raises(Refused, match="400"):
        Api(url, threading.Event()).post("/ventas/", {"id": "a"})
    assert len(bodies) == 1


def test_stopped_client_raises() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Api("http://127.0.0.1:9", stop).post("/ventas/", {})
