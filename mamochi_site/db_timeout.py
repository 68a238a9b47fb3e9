"""A client-side statement timeout for the web's database connections.

If PostgreSQL itself is frozen, its own `statement_timeout` cannot fire. Only the web uses this
timeout: consumers and the closing of a week run long statements under limits of their own.
"""

import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

T = TypeVar("T")

# Seconds per statement. With the 3 s that a new connection may take, this is less than clients
# wait.
STATEMENT_SECONDS: Final = 5.0


def install_statement_timeout() -> None:
    """Limit each statement of this process's future connections to STATEMENT_SECONDS.

    A statement that takes longer raises OperationalError.
    """
    connection_created.connect(_limit_waits_of_connection, dispatch_uid="statement_timeout")


def _limit_waits_of_connection(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Wrap the connection's `wait`, the only place where psycopg waits for the server."""
    raw = connection.connection
    wait = raw.wait
    raw.wait = lambda gen, *args, **kwargs: wait(_with_deadline(gen, STATEMENT_SECONDS), *args, **kwargs)


def _with_deadline(gen: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """Run psycopg's generator `gen` step by step, and stop it when the server is silent too long.

    psycopg resumes the generator ten times per second while it waits. Raises OperationalError when
    the server has been silent for `seconds`.
    """
    deadline = time.monotonic() + seconds
    result: T
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                deadline = time.monotonic() + seconds
            elif time.monotonic() > deadline:
                raise psycopg.OperationalError(f"the database has not answered for {seconds:g} s")
            wanted = gen.send(ready)
    except StopIteration as end:
        result = end.value
    return result
