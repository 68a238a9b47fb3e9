"""The harness of `bench api`: load by wrk, CPU by process, and the peer, which inserts a row."""

import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from django.db import connection

from bench import api, cpu, load
from deploy.embedded.ports import HOST
from deploy.embedded.waiting import wait_until
from tests.support.needs import needs

needs_wrk = needs("" if shutil.which("wrk") else "wrk is missing: apt install wrk")


class Answer(BaseHTTPRequestHandler):
    """Answers 202 to the tokens `a` and `b`, and 401 to others; keeps the tokens that came."""

    protocol_version = "HTTP/1.1"
    came: set[str] = set()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers["Authorization"].removeprefix("Bearer ")
        self.came.add(token)
        self.send_response(202 if token in ("a", "b") else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@needs_wrk
def test_load_is_measured_and_refusals_are_errors() -> None:
    with ThreadingHTTPServer((HOST, 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{HOST}:{server.server_address[1]}/"
        measured = load.drive(url, tokens=["a", "b"], body="{}", connections=2, seconds=1)
        with pytest.raises(RuntimeError, match="were refused"):
            load.drive(url, tokens=["a", "c"], body="{}", connections=2, seconds=1)
        server.shutdown()
    assert {"a", "b"} <= Answer.came
    assert measured.requests > 10
    assert 0 < measured.p50_ms <= measured.p99_ms


def test_cpu_of_children_counts() -> None:
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7))']); input()"
    process = subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE)
    wait_until(lambda: cpu.seconds({"busy": process.pid})["busy"] > 0.1, 30)
    process.communicate(b"\n")


@needs_wrk
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_peer_inserts_a_row_per_sale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "SECONDS", 1)
    with api.peer() as plain:
        measured = api.measure(plain, 2)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'plain'")
            assert cursor.fetchone()
    assert measured.load.requests > 0
    assert measured.cpu_ms["web"] > 0
