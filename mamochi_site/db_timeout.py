"""A request does not wait for ever for a database that hangs: no timeout of a server that is stopped would ever fire.

For the web only: consumers and the closing of a week have long statements, and a limit of their own (batch.py).
"""

import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

T = TypeVar("T")
SECONDS: Final = 5.0  # a statement; with a new connection's 3 s it is less than a client's patience


def install() -> None:
    """From now on each connection of this process raises OperationalError where an answer takes longer than SECONDS."""
    connection_created.connect(_limit, dispatch_uid="patience")


def _limit(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """psycopg waits for the server in one place only, and asks its generator again ten times a second while it does."""
    raw = connection.connection
    wait = raw.wait
    raw.wait = lambda gen, *args, **kwargs: wait(_within(gen, SECONDS), *args, **kwargs)


def _within(gen: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """The same steps. Raises OperationalError where the server has said nothing for so long."""
    deadline = time.monotonic() + seconds
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
        return end.value  # type: ignore[no-any-return]
