"""The first query of a request, which checks the kept connection too.

Django asks `SELECT 1` before the first query of each request, because the connection may have been
lost since the last one (CONN_HEALTH_CHECKS). A query that may run twice needs no such question: if
it finds the connection lost, it runs again on a new one.
"""

from collections.abc import Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections

from kafka_bridge import prepared


def rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query that may run twice; it is prepared, where statements are.

    Raises OperationalError or InterfaceError as any query does, but not for a connection that was
    lost between two requests.
    """
    # Any: Django's types leave the health check out. Not `django.db.connection`, which looks the
    # thread's connection up at each use.
    wrapper: Any = connections[DEFAULT_DB_ALIAS]
    if not _is_unchecked(wrapper):
        return _rows(sql, parameters)
    wrapper.health_check_done = True
    try:
        return _rows(sql, parameters)
    except (OperationalError, InterfaceError):
        if wrapper.is_usable():
            raise
        wrapper.close()
        return _rows(sql, parameters)


def _is_unchecked(wrapper: Any) -> bool:
    """Return whether Django would check the connection now."""
    kept = wrapper.connection is not None and not wrapper.in_atomic_block
    return bool(kept and wrapper.health_check_enabled and not wrapper.health_check_done)


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with prepared.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
