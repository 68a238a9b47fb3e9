"""The time limit of a batch's transaction, on each version of PostgreSQL that Django supports.

It is less than max.poll.interval.ms: a member that is stuck in a transaction frees its partitions'
rows before Kafka gives the partitions to another member. From 17 on, PostgreSQL's
`transaction_timeout` ends the transaction. Before, three limits together do (ADR 22): the client
closes the connection at the first statement after the limit; PostgreSQL ends a statement, and a
transaction in which no statement runs (a frozen process), after five sixths of the limit. So a
transaction lasts less than twice the limit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import connection

from kafka_bridge.waits import deadline

FIRST_WITH_TRANSACTION_TIMEOUT: Final = 170_000
# The limit that replaces the server's own is longer, so that the server, if it can, explains.
CLIENT_EXTRA_SECONDS: Final = 5.0


@contextmanager
def limited_transaction(milliseconds: int) -> Iterator[None]:
    """End the open transaction, and its connection, if the block takes longer than that.

    The server's settings end with the transaction: a pool's next client does not meet them.
    """
    has_timeout = connection.connection.info.server_version >= FIRST_WITH_TRANSACTION_TIMEOUT
    with deadline(milliseconds / 1_000 + (CLIENT_EXTRA_SECONDS if has_timeout else 0)):
        _set_local(_whole(milliseconds) if has_timeout else _parts(milliseconds * 5 // 6))
        yield


def _whole(milliseconds: int) -> dict[str, int]:
    return {"transaction_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds}


def _parts(milliseconds: int) -> dict[str, int]:
    return {"statement_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds}


def _set_local(settings: dict[str, int]) -> None:
    """Change settings of the server until the transaction ends, in one round trip."""
    changes = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {changes}")
