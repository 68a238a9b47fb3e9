"""The time limit of a batch's transaction, on each version of PostgreSQL that Django supports.

It is less than max.poll.interval.ms: a member that is stuck in a transaction frees its partitions'
rows before Kafka gives the partitions to another member. From 17 on, PostgreSQL's
`transaction_timeout` ends the transaction. Before, three limits together do (ADR 22): the client
closes the connection at the first statement after the limit; PostgreSQL ends a statement, and a
transaction in which no statement runs (a frozen process), after five sixths of the limit. So a
transaction lasts less than twice the limit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from django.db import connection

from kafka_bridge import conf, prepared
from kafka_bridge.waits import deadline

FIRST_WITH_TRANSACTION_TIMEOUT: Final = 170_000
# The limit that replaces the server's own is longer, so that the server, if it can, explains.
CLIENT_EXTRA_SECONDS: Final = 5.0
NOTHING_ELSE: Final = "SELECT FROM {limits} limits"


@contextmanager
def limited_transaction(
    milliseconds: int, statement: str = NOTHING_ELSE, parameters: Sequence[str] = ()
) -> Iterator[list[tuple[Any, ...]]]:
    """End the open transaction, and its connection, if the block takes longer than that.

    The server's settings end with the transaction: a pool's next client does not meet them. They
    share their round trip with the transaction's first `statement`, whose rows the block gets. It
    reads one row from `{limits}` before it locks a row, because a prepared statement cannot follow
    another one in a round trip. `statement_timeout` does not limit the statement that sets it.
    """
    has_timeout = connection.connection.info.server_version >= FIRST_WITH_TRANSACTION_TIMEOUT
    with deadline(milliseconds / 1_000 + (CLIENT_EXTRA_SECONDS if has_timeout else 0)):
        if has_timeout and conf.PREPARED_STATEMENTS:
            yield _execute_prepared(statement.format(limits=_selected(milliseconds)), parameters)
        else:
            limits = _whole(milliseconds) if has_timeout else _parts(milliseconds * 5 // 6)
            yield _execute(f"{limits}; {statement.format(limits='(SELECT)')}", parameters)


def _selected(milliseconds: int) -> str:
    return (
        f"(SELECT set_config('transaction_timeout', '{milliseconds}', true),"
        f" set_config('idle_in_transaction_session_timeout', '{milliseconds}', true))"
    )


def _whole(milliseconds: int) -> str:
    return (
        f"SET LOCAL transaction_timeout = {milliseconds}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
    )


def _parts(milliseconds: int) -> str:
    return (
        f"SET LOCAL statement_timeout = {milliseconds}; SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
    )


def _execute_prepared(statement: str, parameters: Sequence[str]) -> list[tuple[Any, ...]]:
    with prepared.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _execute(statements: str, parameters: Sequence[str]) -> list[tuple[Any, ...]]:
    """Execute the statements in one round trip; return the rows of the last one."""
    with connection.cursor() as cursor:
        cursor.execute(statements, parameters)
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []
