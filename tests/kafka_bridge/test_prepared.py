"""Statements stay prepared where the setting says so; results and errors are the same both ways."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import (
    DataError,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from django.test.utils import CaptureQueriesContext

from kafka_bridge import conf, diagnosis, prepared
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.publishing import claims
from kafka_bridge.waits import deadline

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
INSERT = "INSERT INTO kept (id, name) VALUES (%s::int, %s::text)"
READ = "SELECT id, name FROM kept WHERE id = ANY(%s::int[]) ORDER BY id"


@pytest.fixture(params=[True, False], ids=["on", "off"])
def is_on(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(conf, "PREPARED_STATEMENTS", request.param)
    return bool(request.param)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "PREPARED_STATEMENTS", True)


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    """Create a table, and a session in which nothing is prepared yet."""
    connection.close()
    execute("CREATE TABLE kept (id int PRIMARY KEY, name varchar(5))")
    yield
    connection.close()
    execute("DROP TABLE kept")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def write(id_: int, name: str) -> None:
    with prepared.cursor() as cursor:
        cursor.execute(INSERT, [id_, name])


def read(*ids: int) -> list[tuple[Any, ...]]:
    with prepared.cursor() as cursor:
        cursor.execute(READ, [list(ids)])
        return list(cursor.fetchall())


def kept() -> list[str]:
    """Return the statements that this session keeps prepared."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements ORDER BY prepare_time")
        return [statement for (statement,) in cursor.fetchall()]


def test_a_statement_that_comes_again_is_kept(is_on: bool) -> None:
    write(1, "ñandú")
    assert kept() == []
    write(2, "b'\\")
    for _ in range(8):  # from the sixth time on, the plan may be the general one
        assert read(1, 2, 3) == [(1, "ñandú"), (2, "b'\\")]
    assert len(kept()) == 2 * is_on


@pytest.mark.parametrize("times", [0, 3])  # before a statement is prepared, and after
def test_errors_are_django_s(is_on: bool, times: int) -> None:
    execute("INSERT INTO kept VALUES (0, 'a')")
    for number in range(times):
        write(1 + number, "a")
    for _ in range(3):
        with pytest.raises(IntegrityError) as twice:
            write(0, "a")
        assert isinstance(twice.value.__cause__, psycopg.errors.UniqueViolation)
        with pytest.raises(DataError) as long:
            write(9, "too long")
        assert diagnosis.sqlstate(long.value) == "22001"
    assert len(kept()) == (is_on and times > 0)


def test_a_lost_connection_is_an_outage(is_on: bool) -> None:
    for _ in range(3):
        read(1)
    with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    with pytest.raises(OperationalError) as lost:
        read(1)
    assert diagnosis.is_outage(lost.value)
    assert diagnosis.connection_is_lost()


def test_a_deadline_holds(is_on: bool) -> None:
    for seconds in (0.0, 0.0, 0.0):
        sleep(seconds)
    with deadline(0.3), pytest.raises(OperationalError, match="within the client's time limit"):
        sleep(20)
    assert diagnosis.connection_is_lost()


def sleep(seconds: float) -> None:
    with prepared.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s::float)", [seconds])


def test_queries_are_recorded(is_on: bool) -> None:
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            read(7)
    assert len(queries) == 3
    assert all("FROM kept" in query["sql"] and "7" in query["sql"] for query in queries.captured_queries)


def test_it_is_part_of_the_transaction(is_on: bool) -> None:
    for number in range(3):
        with pytest.raises(IntegrityError):
            write_together((number, "a"), (number, "b"))
        with transaction.atomic():
            write(10 + number, "a")
            with pytest.raises(IntegrityError):
                write_together((20 + number, "a"), (10 + number, "b"))
    assert read(*range(30)) == [(10, "a"), (11, "a"), (12, "a")]


def write_together(*rows: tuple[int, str]) -> None:
    with transaction.atomic():
        for row in rows:
            write(*row)


def test_a_new_column_changes_nothing(is_on: bool) -> None:
    write(1, "a")
    for number in range(2, 9):
        read(1)
        write(number, "b")
    execute("ALTER TABLE kept ADD COLUMN more int NOT NULL DEFAULT 3")
    write(9, "c")
    assert read(1, 9) == [(1, "a"), (9, "c")]


def test_a_column_of_another_type_fails_one_transaction(on: None) -> None:
    for _ in range(3):
        read(1)
    execute("ALTER TABLE kept ALTER COLUMN name TYPE text")
    with pytest.raises(NotSupportedError, match="cached plan"), transaction.atomic():
        read(1)
    with transaction.atomic():
        assert read(1) == []


def test_a_pool_in_between_accuses_no_message(on: None) -> None:
    """It gives another session, or empties this one."""
    for _ in range(3):
        read(1)
    execute("DEALLOCATE ALL")
    with pytest.raises(ProgrammingError) as missing:
        read(1)
    assert diagnosis.is_server_trouble(missing.value)


def test_what_fails_takes_no_memory_of_the_server(on: None) -> None:
    execute("SET default_transaction_read_only = on")
    for _ in range(5):
        with pytest.raises(Unavailable):
            claims.claim({uuid4(): {"n": 1}}, at=NOW)
    assert kept() == []


def test_other_statements_are_not_counted(on: None) -> None:
    """So psycopg does not keep their texts."""
    read(1)
    assert connection.connection.prepare_threshold is None


def test_a_claim_is_the_same_both_ways(is_on: bool) -> None:
    ids = [UUID(int=number) for number in range(2_000)]
    for number in range(8):
        sent = {id_: {"number": number} for id_ in ids[: 1 + number]}
        claimed = claims.claim(sent, at=NOW)
        assert [claimed[id_].first for id_ in sent] == [{"number": at} for at in range(1 + number)]
        assert [claimed[id_].is_new for id_ in sent] == [False] * number + [True]
        assert {one.at for one in claimed.values()} == {NOW}
    assert len(claims.claim({id_: {} for id_ in ids}, at=NOW)) == 2_000
    assert len(kept()) == is_on


def test_nothing_is_kept_without_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that gives each transaction another session needs that."""
    monkeypatch.setattr(conf, "PREPARED_STATEMENTS", False)
    for number in range(8):
        write(number, "a")
        claims.claim({uuid4(): {"n": number}}, at=NOW)
    assert kept() == []
