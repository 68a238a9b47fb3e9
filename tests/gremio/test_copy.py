"""COPY inserts all rows or none; `insert_missing` those that the table does not have."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from django.db import DataError, connection

from gremio.copy import CHUNK, FEW, copy_rows, copy_unless_duplicated, insert_missing

COLUMNS = {"id": "uuid", "name": "text", "at": "timestamptz"}
NOW = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)


@pytest.fixture
def table(db: None) -> str:
    """Create a table that lives as long as the test's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE copied (id uuid PRIMARY KEY, name varchar(5), at timestamptz)")
    return "copied"


def names() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM copied ORDER BY name")
        return [name for (name,) in cursor.fetchall()]


def row(name: str, id_: UUID | None = None) -> tuple[UUID, str, datetime]:
    return id_ or uuid4(), name, NOW


def test_new_rows_are_inserted(table: str) -> None:
    assert copy_unless_duplicated(table, COLUMNS, [row("a"), row("b")])
    assert names() == ["a", "b"]


def test_one_existing_row_keeps_all_out(table: str) -> None:
    existing = row("a")
    assert copy_unless_duplicated(table, COLUMNS, [existing])
    assert not copy_unless_duplicated(table, COLUMNS, [row("b"), existing])
    assert names() == ["a"]


def test_a_row_given_twice_keeps_all_out(table: str) -> None:
    twice = row("a")
    assert not copy_unless_duplicated(table, COLUMNS, [twice, twice])
    assert names() == []


def test_other_errors_are_raised(table: str) -> None:
    with pytest.raises(DataError):
        copy_unless_duplicated(table, COLUMNS, [row("too long")])
    assert names() == []


@pytest.mark.parametrize("rows", [2, FEW], ids=["one INSERT", "COPY"])
def test_only_missing_rows_are_inserted(table: str, rows: int) -> None:
    existing, new = row("a"), [row("b") for _ in range(rows)]
    insert_missing(table, COLUMNS, [existing])
    insert_missing(table, COLUMNS, [existing, *new, new[0]])
    insert_missing(table, COLUMNS, new)
    insert_missing(table, COLUMNS, [])
    assert names() == ["a"] + ["b"] * rows


@pytest.mark.parametrize("rows", [1, FEW], ids=["one INSERT", "COPY"])
def test_a_row_that_breaks_another_rule_is_an_error(table: str, rows: int) -> None:
    with pytest.raises(DataError):
        insert_missing(table, COLUMNS, [row("too long")] * rows)


EVERY_TYPE = {"id": "uuid", "units": "int4", "name": "text", "at": "timestamptz", "day": "date", "parts": "jsonb"}
CHILE = timezone(timedelta(hours=-3))
VALUES = [
    (UUID(int=1), 0, "", datetime(2000, 1, 1, tzinfo=UTC), date(2000, 1, 1), {}),
    (
        UUID(int=2**128 - 1),
        2**31 - 1,
        "ñandú\t\\N\n🥤",
        datetime(2199, 12, 31, 23, 59, 59, 999_999, UTC),
        date(2199, 12, 31),
        {"mote": 1},
    ),
    (UUID(int=2), -(2**31), "\\.", datetime(1999, 12, 31, 23, 0, 0, 1, CHILE), date(1999, 12, 31), {"a": [1, "é"]}),
    (UUID(int=3), None, None, None, None, None),
]


@pytest.mark.parametrize("way", [copy_rows, insert_missing], ids=["COPY", "one INSERT"])
def test_every_value_is_stored_as_it_is(db: None, way: Callable[..., None]) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in EVERY_TYPE.items())
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE copied ({columns})")
        way("copied", EVERY_TYPE, VALUES)
        cursor.execute("SELECT id, units, name, at, day, parts FROM copied ORDER BY id")
        stored = [(*row[:5], row[5] and json.loads(row[5])) for row in cursor.fetchall()]
    assert stored == sorted(VALUES, key=lambda row: row[0])


def test_many_rows_are_copied_in_chunks(table: str) -> None:
    rows = [row(f"{number:05}") for number in range(2 * CHUNK + 1)]
    copy_rows(table, COLUMNS, rows)
    assert names() == [name for _, name, _ in rows]
