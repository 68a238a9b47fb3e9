"""The time limit of a transaction, with PostgreSQL's `transaction_timeout` and without."""

import threading
import time
from contextlib import suppress

import psycopg
import pytest
from django.db import DatabaseError, InterfaceError, InternalError, OperationalError, connection, transaction

from kafka_bridge import conf
from kafka_bridge.consuming import time_limit
from kafka_bridge.consuming.time_limit import limited_transaction
from tests.support.sandbox import SECONDS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LIMIT_MS = 900
# A client that ends its transactions by itself, as before PostgreSQL 17, or that server's client.
VERSIONS = [time_limit.FIRST_WITH_TRANSACTION_TIMEOUT, 1_000_000]
NAMES = ["of this version", "before 17"]


@pytest.fixture(autouse=True, params=VERSIONS, ids=NAMES)
def _version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "FIRST_WITH_TRANSACTION_TIMEOUT", request.param)


@pytest.fixture(autouse=True, params=[True, False], ids=["prepared", "not prepared"])
def _prepared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "PREPARED_STATEMENTS", request.param)


def execute(*statements: str) -> None:
    """Run the statements in one limited transaction."""
    with transaction.atomic(), limited_transaction(LIMIT_MS), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_a_long_statement_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises((OperationalError, InternalError)):
        execute("SELECT pg_sleep(30)")
    assert time.monotonic() - began < 10
    connection.close()


def test_many_short_statements_are_ended() -> None:
    began = time.monotonic()
    with pytest.raises((OperationalError, InternalError)):
        execute(*["SELECT pg_sleep(0.2)"] * 100)
    assert time.monotonic() - began < 10
    connection.close()


def test_the_first_statement_is_limited_too() -> None:
    for seconds in (0, 0, 30):  # the third time it is prepared
        began = time.monotonic()
        with suppress(OperationalError, InternalError), transaction.atomic():
            statement = "SELECT pg_sleep(%s::float) FROM {limits} limits"
            with limited_transaction(LIMIT_MS, statement, [str(seconds)]) as rows:
                assert len(rows) == 1
                assert seconds == 0
    assert LIMIT_MS * 0.8 < 1_000 * (time.monotonic() - began) < 10_000
    connection.close()


def test_an_idle_transaction_frees_its_rows() -> None:
    """As that of a process that is frozen in the middle of a batch."""
    connected = connection.get_connection_params()
    release, locked = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), limited_transaction(LIMIT_MS):
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(77)")
            locked.set()
            release.wait(SECONDS)

    def run() -> None:
        with suppress(DatabaseError, InterfaceError):
            hold()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert locked.wait(SECONDS)
    began = time.monotonic()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: connected[name] for name in names if connected.get(name)}) as other:
        other.execute("SELECT pg_advisory_xact_lock(77)")
    assert time.monotonic() - began < 10
    release.set()
    thread.join(SECONDS)


def test_the_limits_end_with_the_transaction() -> None:
    with transaction.atomic(), limited_transaction(LIMIT_MS):
        pass
    with connection.cursor() as cursor:
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == ("0",)
        cursor.execute("SELECT pg_sleep(1.2)")
