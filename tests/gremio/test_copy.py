"""COPY inserts all rows or none; `insert_missing` those that the table does not have."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.db import DataError, connection

from gremio.copy import FEW, copy_unless_duplicated, insert_missing

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
