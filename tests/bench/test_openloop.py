"""The open load: arrivals on a schedule, times from the due moment, the knee; a short run."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest

from bench.openloop.load import Sent, send
from bench.openloop.orders import SALES_PER_CART, Kind, Maestro, orders, steadily
from bench.openloop.summary import Point, knee, medians, reason
from bench.plots import plot
from deploy.embedded.ports import HOST
from mamochi_site.local.system import CHECKOUT

SLOW_SECONDS = 0.4


def maestros(count: int) -> list[Maestro]:
    return [Maestro(uuid4(), f"token-{number}") for number in range(count)]


class Web(BaseHTTPRequestHandler):
    """Accepts; but answers slowly to token-0, refuses token-1, and hangs up on token-2."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = self.headers["Authorization"].removeprefix("Bearer ")
        if token == "token-0":
            time.sleep(SLOW_SECONDS)  # slower than the schedule
        if token == "token-2":
            self.close_connection = True
            return
        self.send_response(503 if token == "token-1" else 202)
        content = json.dumps({"id": body.get("id", str(uuid4()))}).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def test_each_maestro_sells_every_six_seconds_and_runs_out_every_ten_sales() -> None:
    sellers = maestros(600)
    plan = list(orders(sellers, random.Random(1), 120))
    sales = Counter(order.maestro for order in plan if order.kind is Kind.SALE)
    assert [order.due for order in plan] == sorted(order.due for order in plan)
    assert sum(sales.values()) / 120 == pytest.approx(100, rel=0.02)
    assert all(17 <= sales[number] <= 25 for number in range(600))
    notices = Counter(order.maestro for order in plan if order.kind is Kind.NOTICE)
    assert all(notices[number] == sellers[number].sold // (2 * SALES_PER_CART) for number in range(600))


def test_a_slow_answer_does_not_slow_the_load() -> None:
    """The sales that are due while one waits are sent; the times count from when they were due."""
    sellers, sent = maestros(4), Sent()
    with ThreadingHTTPServer((HOST, 0), Web) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        send(server.server_address[1], sellers, steadily(sellers, 40, 1.0), sent)
        server.shutdown()
    assert 0.9 < sent.seconds < 1.0 + SLOW_SECONDS / 2
    assert sent.statuses == {202: 20, 503: 10, 0: 10}
    assert len(sent.sales) == 20
    assert len(sent.uncertain) == 20
    assert sent.without_retry_after == 10
    slow = [ms for ms in sent.answers[202] if ms >= 1_000 * SLOW_SECONDS]
    assert len(slow) == 10
    with pytest.raises(RuntimeError, match="every one should be 202"):
        sent.check()


def step(rate: float, answer: float, row: float, accepted: float = 1.0) -> Point:
    figures = {"answer, p99": answer, "row, p99": row, "cores": 1.5, "load generator's cores": 0.2}
    costs = {"CPU per sale": 4.0, "CPU per sale, web": 3.0, "CPU per sale, kafka": 1.0}
    return {"rate": rate, "asked per second": rate, "accepted per second": accepted * rate} | figures | costs


def test_knee_is_the_last_step_before_the_first_that_fails() -> None:
    steps = [step(100, 20, 90), step(200, 240, 1_900), step(300, 251, 500), step(400, 100, 500)]
    last = knee(steps)
    assert last is not None
    assert last["rate"] == 200
    assert "At 300/s" in reason(steps, last)
    assert "web 75 %, kafka 25 %" in reason(steps, last)
    assert knee([step(100, 10, 2_001)]) is None
    assert knee([step(100, 10, 10, accepted=0.97)]) is None
    assert "above the greatest rate" in reason(steps[:2], steps[1])


def test_medians_are_of_the_rounds() -> None:
    steps = medians([step(100, 10, 5), step(200, 1, 1), step(100, 30, 7), step(100, 20, 6)])
    assert [one["rate"] for one in steps] == [100, 200]
    assert steps[0]["answer, p99"] == 20


@pytest.mark.chaos
@pytest.mark.alone
def test_short_run_is_audited_and_drawn(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "carga", "--rates", "10,20", "--seconds", "3", "--rounds", "1"]
    environment = os.environ | {"BENCH_RESULTS": str(tmp_path), "DEBUG": "true"}
    for variable in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL"):
        environment.pop(variable, None)  # a stack of its own, not the tests'
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "carga.json").read_text())
    assert [point["rate"] for point in result["points"]] == [10, 20]
    assert all(point["accepted per second"] > 0.5 * point["rate"] for point in result["points"])
    also = result["also"]
    assert also["audit: accepted"] == also["audit: rows"] == also["audit: counted"] > 100
    [drawn] = plot(tmp_path)
    assert drawn.name == "carga.svg"
    assert drawn.read_text().count("<path") > 50
