"""The first query of a request asks the database once, and survives a lost connection."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import OperationalError, connection

from kafka_bridge import conf, first_query

pytestmark = pytest.mark.django_db(transaction=True)

MY_PID = "SELECT pg_backend_pid() WHERE %s"


@pytest.fixture
def outside() -> Iterator["psycopg.Connection[tuple[int]]"]:
    """Return a connection of somebody else's."""
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
        yield other
    connection.close()


@pytest.fixture(autouse=True, params=[True, False], ids=["prepared", "not prepared"])
def _prepared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "PREPARED_STATEMENTS", request.param)


def next_request() -> int:
    """Do what Django does between two requests; return the id of the connection's process."""
    connection.ensure_connection()
    connection.close_if_unusable_or_obsolete()
    return int(connection.connection.info.backend_pid)


def test_it_asks_once(tmp_path: Path) -> None:
    next_request()
    with (tmp_path / "trace").open("w") as trace:
        connection.connection.pgconn.trace(trace.fileno())
        first_query.rows("SELECT 7 WHERE %s", [True])
        connection.connection.pgconn.untrace()
    sent = (tmp_path / "trace").read_text()
    assert sent.count("\tQuery\t") + sent.count("\tSync") == 1  # each ends what waits for an answer
    assert "SELECT 7" in sent


def test_a_lost_connection_is_replaced(outside: "psycopg.Connection[tuple[int]]") -> None:
    lost = next_request()
    for _ in range(3):
        next_request()
        assert first_query.rows(MY_PID, [True]) == [(lost,)]
    next_request()
    outside.execute("SELECT pg_terminate_backend(%s, 5000)", [lost])
    [(pid,)] = first_query.rows(MY_PID, [True])
    assert pid != lost


def test_it_is_lost_only_once_per_request(outside: "psycopg.Connection[tuple[int]]") -> None:
    pid = next_request()
    first_query.rows(MY_PID, [True])
    outside.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(OperationalError):
        first_query.rows(MY_PID, [True])


def test_a_slow_query_does_not_run_again(outside: "psycopg.Connection[tuple[int]]") -> None:
    pid = next_request()
    connection.connection.execute("SET statement_timeout = '300ms'")  # the fixture closes this session
    began = time.monotonic()
    with pytest.raises(OperationalError, match="statement timeout"):
        first_query.rows("SELECT pg_sleep(%s)", [5])
    assert time.monotonic() - began < 0.55
    assert next_request() == pid
