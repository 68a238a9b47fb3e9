"""While Kafka or PostgreSQL is down, whatever is answered 202 arrives."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.embedded.server import Server
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System
from tests.support.system import SECONDS, Client, query, wait_for_sales

pytestmark = [pytest.mark.chaos]
DEADLINE = 10.0  # seconds within which every request must be answered


@contextmanager
def away(*servers: Server) -> Iterator[None]:
    """Kill the server; start it again when the block ends."""
    for server in servers:
        server.kill()
    try:
        yield
    finally:
        for server in servers:
            server.restart()


def test_sales_survive_a_kafka_outage(system: System, maestro: Client) -> None:
    assert maestro.sell().status == 202
    with away(*system.stack.kafka.brokers):
        for _ in range(5):
            began = time.monotonic()
            assert maestro.sell().status == 202
            assert time.monotonic() - began < DEADLINE
        assert query(system, "SELECT count(*) FROM kafka_bridge_outboxmessage")[0][0] >= 5
    wait_for_sales(maestro)
    wait_until(lambda: query(system, "SELECT count(*) FROM kafka_bridge_outboxmessage") == [(0,)], SECONDS)
    assert maestro.call("GET", "ventas/resumen/").body["cantidad_ventas"] == 6


def test_without_database_answers_503(system: System, maestro: Client) -> None:
    with away(system.stack.postgres):
        answer = maestro.sell()
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
    wait_until(lambda: maestro.sell().status == 202, SECONDS)
    wait_for_sales(maestro)
    assert maestro.call("GET", "ventas/resumen/").body["cantidad_ventas"] == len(maestro.sent)


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Freeze the server with SIGSTOP: connections stay open and nothing answers."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


def test_hanging_database_answers_in_time(system: System, maestro: Client) -> None:
    assert maestro.sell().status == 202  # this connection is open when the server freezes
    with frozen(system.stack.postgres):
        began = time.monotonic()
        answer = maestro.sell()
        assert time.monotonic() - began < DEADLINE
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
    wait_until(lambda: maestro.sell().status == 202, SECONDS)
    wait_for_sales(maestro)


def test_page_without_session_is_503(system: System) -> None:
    with away(system.stack.postgres):
        connection = http.client.HTTPConnection("127.0.0.1", int(system.url.rsplit(":", 1)[1]), timeout=DEADLINE)
        connection.request("GET", "/admin/", headers={"Accept": "text/html", "Cookie": "sessionid=" + "a" * 32})
        response = connection.getresponse()
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "Inténtalo de nuevo" in response.read().decode()
        connection.close()
    wait_until(lambda: query(system, "SELECT 1") == [(1,)], SECONDS)


def test_both_down_refuses_enrolments(system: System, anyone: Client) -> None:
    form = {
        "nombre": "Rosa Ñáñez Peña",
        "rut": "12.345.678-5",
        "email": "rosa.nanez@example.cl",
        "telefono": "+56 9 8765 4321",
        "comuna": "Ñuñoa",
        "paid": False,
    }
    with away(*system.stack.kafka.brokers, system.stack.postgres):
        began = time.monotonic()
        answer = anyone.call("POST", "inscripciones/", form)
        assert time.monotonic() - began < DEADLINE
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
    wait_until(lambda: anyone.call("POST", "inscripciones/", form).status == 202, SECONDS)


def test_outage_leaves_no_dead_letter(system: System, maestro: Client) -> None:
    for _ in range(20):
        maestro.sell()
    with away(system.stack.postgres):
        pass
    wait_until(lambda: maestro.sell().status == 202, SECONDS)
    wait_for_sales(maestro)
    assert query(system, "SELECT consumer, event_type, error, traceback FROM kafka_bridge_deadletter") == []
    assert [name for name, process in system.applications.items() if not process.running] == []
