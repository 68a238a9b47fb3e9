"""Rows into PostgreSQL: with COPY, the fastest way for many, or one INSERT, for few."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter, methodcaller
from typing import Any, Final

import msgspec
from django.db import IntegrityError, connection, transaction
from psycopg import sql
from psycopg.errors import UniqueViolation

from kafka_bridge import prepared

Row = Sequence[object]

FEW: Final = 100  # rows: fewer are inserted sooner by one INSERT than by COPY in a savepoint

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


# How a value of each type is written in COPY's text format.
TEXT_OF: Final[Mapping[str, Callable[[Any], str]]] = {
    "uuid": attrgetter("hex"),
    "int4": str,
    "text": _escaped,
    "timestamptz": methodcaller("isoformat"),
    "date": methodcaller("isoformat"),
    "jsonb": lambda value: _escaped(msgspec.json.encode(value).decode()),
}


def copy_rows(table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Insert the rows with COPY, all or none. Raises IntegrityError if one breaks a constraint.

    `columns`: the table's columns and their PostgreSQL types (those of TEXT_OF), in the order of a
    row's values.
    """
    if not rows:
        return
    texts = [_texts(kind, column) for kind, column in zip(columns.values(), zip(*rows, strict=True), strict=True)]
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _names(columns))
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.write("\n".join(map("\t".join, zip(*texts, strict=True))))


def _texts(kind: str, column: Iterable[Any]) -> Iterable[str]:
    """Return a column in COPY's text format: column by column is twice as fast as row by row."""
    text_of, values = TEXT_OF[kind], list(column)
    if None in values:
        return ["\\N" if value is None else text_of(value) for value in values]
    return map(text_of, values)


def copy_unless_duplicated(table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> bool:
    """Insert all the rows with COPY and return True, or insert none of them and return False.

    The result is False if a row breaks a unique constraint: it is in the table already (a replay, a
    retry), or it is twice in `rows`. The caller then inserts the rows with a slower statement that
    skips duplicates. Every other error is raised.

    The arguments are those of `copy_rows`.
    """
    try:
        with transaction.atomic():
            copy_rows(table, columns, rows)
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):
            return False
        raise
    return True


def insert_missing(table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Insert the rows that the table does not have yet, by any unique constraint.

    The arguments are those of `copy_rows`, and every other error is raised.
    """
    if not rows or (len(rows) >= FEW and copy_unless_duplicated(table, columns, rows)):
        return
    content = msgspec.json.encode([dict(zip(columns, row, strict=True)) for row in rows]).decode()
    with prepared.cursor() as cursor:
        cursor.execute(_insert_statement(table, tuple(columns.items())), [content])


@cache
def _insert_statement(table: str, columns: tuple[tuple[str, str], ...]) -> str:
    """Return the INSERT of rows given as one JSON text, which is built faster than arrays."""
    given = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns]
    statement = sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {names} FROM json_to_recordset(%s::json) AS given ({given}) "
        "ON CONFLICT DO NOTHING"
    ).format(table=sql.Identifier(table), names=_names(name for name, _ in columns), given=sql.SQL(", ").join(given))
    return statement.as_string(None)


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
