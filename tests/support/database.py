"""The rows of the test database, restored between tests."""

from typing import Any, Final

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg.sql import SQL, Identifier, Literal

# Django writes these rows after the migrations. Writing them again took 0.4 s per test.
KEPT: Final = ("django_content_type", "django_migrations", "auth_permission")

Rows = dict[str, bytes]  # by table, as COPY writes them


def restore_after_each_test(patch: pytest.MonkeyPatch) -> None:
    """After each test that commits, restore the rows that the database has now.

    Django's own way empties every table, then writes content types and permissions again. It loses
    what the migrations wrote: groups, catalogue and schedules.
    """
    with connection.cursor() as cursor:
        rows = {table: _copy_out(cursor, table) for table in _tables_with_rows(cursor)}

    def restore(_case: TransactionTestCase) -> None:
        _restore(rows)

    patch.setattr(TransactionTestCase, "_fixture_teardown", restore)


def _copy_out(cursor: Any, table: str) -> bytes:
    with cursor.copy(SQL("COPY {} TO STDOUT").format(Identifier(table))) as copy:
        return b"".join(bytes(block) for block in copy)


def _restore(rows: Rows) -> None:
    """Empty the tables that have rows, then copy `rows` back.

    PostgreSQL checks foreign keys at the commit.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if used := _tables_with_rows(cursor):
            cursor.execute(SQL("TRUNCATE {} CASCADE").format(SQL(", ").join(map(Identifier, used))))
        for table, content in rows.items():
            with cursor.copy(SQL("COPY {} FROM STDIN").format(Identifier(table))) as copy:
                copy.write(content)


def _tables_with_rows(cursor: Any) -> list[str]:
    tables = [table for table in connection.introspection.table_names(cursor) if table not in KEPT]
    query = SQL("SELECT {} WHERE EXISTS (SELECT FROM {})")
    cursor.execute(SQL(" UNION ALL ").join(query.format(Literal(table), Identifier(table)) for table in tables))
    return [table for (table,) in cursor.fetchall()]
