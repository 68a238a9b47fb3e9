"""The first query of a request, which checks the kept connection too.

Django asks `SELECT 1` before the first query of each request, because the connection may have been
lost since the last one (CONN_HEALTH_CHECKS). A query that only reads needs no such question: if it
finds the connection lost, it runs again on a new one.
"""

from collections.abc import Sequence
from typing import Any

from django.db import InterfaceError, OperationalError, connection


def rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query that changes nothing.

    Raises OperationalError or InterfaceError as any query does, but not for a connection that was
    lost between two requests.
    """
    if not _unchecked():
        return _rows(sql, parameters)
    _wrapper().health_check_done = True
    try:
        return _rows(sql, parameters)
    except (OperationalError, InterfaceError):
        if connection.is_usable():
            raise
        connection.close()
        return _rows(sql, parameters)


def _unchecked() -> bool:
    """Return whether Django would check the connection now."""
    wrapper = _wrapper()
    kept = wrapper.connection is not None and not wrapper.in_atomic_block
    return bool(kept and wrapper.health_check_enabled and not wrapper.health_check_done)


def _wrapper() -> Any:
    """Return Django's wrapper of the connection; its types leave the health check out."""
    return connection


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
