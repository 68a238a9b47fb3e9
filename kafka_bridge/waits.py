"""Limits on the client's side for how long a database connection may wait.

PostgreSQL's own timeouts cannot fire while PostgreSQL itself is frozen, or while a machine between
drops every packet. They also differ between versions: `transaction_timeout` came with 17.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

T = TypeVar("T")

# For processes that wait for the database and serve no request: with the 3 s of a new connection,
# the pause of the relay and the back-off of a consumer, work continues within a minute.
BACKGROUND_SECONDS: Final = 40.0


def limit_silence(seconds: float = BACKGROUND_SECONDS) -> None:
    """Close a connection of this process once a statement gets no answer for `seconds`.

    The statement raises OperationalError, as for a connection that was lost. Connections that other
    threads have opened before are not limited.
    """

    def limit(connection: BaseDatabaseWrapper, **_: Any) -> None:
        _wrap_waits(connection.connection, lambda: time.monotonic() + seconds, extends=seconds)

    # weak=False: nothing else refers to this inner function, and Django would lose it.
    connection_created.connect(limit, weak=False, dispatch_uid="kafka_bridge.waits")
    if connection.connection is not None:  # Beat has read its schedule when its first signal comes
        _wrap_waits(connection.connection, lambda: time.monotonic() + seconds, extends=seconds)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Close this thread's open connection if a statement of the block still runs after `seconds`.

    That statement, and any that begins later, raises OperationalError. PostgreSQL then rolls back.
    """
    raw = connection.connection
    before = raw.wait
    end = time.monotonic() + seconds
    _wrap_waits(raw, lambda: end)
    try:
        yield
    finally:
        raw.wait = before


def _wrap_waits(raw: Any, end_of: Callable[[], float], *, extends: float = 0.0) -> None:
    """Wrap the connection's `wait`, the only place where psycopg waits for the server."""
    wait = raw.wait

    def limited(gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> Any:
        return wait(_until(raw, gen, end_of(), extends), *args, **kwargs)

    raw.wait = limited


def _until(raw: Any, gen: Generator[Any, Any, T], end: float, extends: float) -> Generator[Any, Any, T]:
    """Yield the same steps as `gen`, which psycopg resumes ten times per second while it waits.

    Closes the connection and raises OperationalError at `end` (monotonic seconds). Whenever the
    server has sent something, the end moves to `extends` seconds from now, unless that is 0.
    """
    result: T
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            now = time.monotonic()
            if ready and extends:
                end = now + extends
            elif now > end:
                raw.close()
                raise psycopg.OperationalError("the database has not answered within the client's time limit")
            wanted = gen.send(ready)
    except StopIteration as stop:
        result = stop.value
    return result
