"""Rows into PostgreSQL: with COPY, the fastest way for many, or one INSERT, for few."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import chain, repeat
from struct import Struct
from types import NoneType
from typing import Any, Final

import msgspec
from django.db import IntegrityError, connection, transaction
from psycopg import sql
from psycopg.errors import UniqueViolation

from kafka_bridge import prepared

Row = Sequence[object]

FEW: Final = 100  # rows: fewer are inserted sooner by one INSERT than by COPY in a savepoint

CHUNK: Final = 250  # rows: PostgreSQL takes one chunk in while the next one is being written

# COPY's binary format (https://www.postgresql.org/docs/current/sql-copy.html): a header, and per
# row the number of values, each of which has its length before it.
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(2000, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)

_UUID, _INT4, _INT8, _LENGTH = Struct("!i16s"), Struct("!ii"), Struct("!iq"), Struct("!i")

Values = Iterable[Any]


def _sized(values: Iterable[bytes]) -> Iterable[bytes]:
    return [_LENGTH.pack(len(value)) + value for value in values]


# How values of each type are written in COPY's binary format.
BYTES_OF: Final[Mapping[str, Callable[[Values], Iterable[bytes]]]] = {
    "uuid": lambda values: map(_UUID.pack, repeat(16), [value.bytes for value in values]),
    "int4": lambda values: map(_INT4.pack, repeat(4), values),
    "text": lambda values: _sized(map(str.encode, values)),
    "timestamptz": lambda values: map(_INT8.pack, repeat(8), [(value - _EPOCH) // _MICROSECOND for value in values]),
    "date": lambda values: map(_INT4.pack, repeat(4), [value.toordinal() - _EPOCH_DAY for value in values]),
    "jsonb": lambda values: _sized([b"\x01" + msgspec.json.encode(value) for value in values]),
}


def copy_rows(table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Insert the rows with COPY, all or none. Raises IntegrityError if one breaks a constraint.

    `columns`: the table's columns and their PostgreSQL types (those of BYTES_OF), in the order of a
    row's values.
    """
    if not rows:
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table), _names(columns))
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.write(_HEADER)
        for start in range(0, len(rows), CHUNK):
            copy.write(_chunk(columns, rows[start : start + CHUNK]))
        copy.write(_END)


def _chunk(columns: Mapping[str, str], rows: Sequence[Row]) -> bytes:
    """Return rows in COPY's binary format: column by column is twice as fast as row by row."""
    count = len(columns).to_bytes(2)
    values = [_column(kind, column) for kind, column in zip(columns.values(), zip(*rows, strict=True), strict=True)]
    return b"".join(chain.from_iterable(zip(repeat(count, len(rows)), *values, strict=True)))


def _column(kind: str, column: Sequence[Any]) -> Iterable[bytes]:
    if NoneType not in set(map(type, column)):
        return BYTES_OF[kind](column)
    there = iter(BYTES_OF[kind](value for value in column if value is not None))
    return [_NULL if value is None else next(there) for value in column]


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
