"""Statements that PostgreSQL keeps prepared, where each connection is a session of its own.

Django binds parameters on the client, so PostgreSQL parses and plans a statement each time. That is
most of what a small statement costs. A pool that gives each transaction another session cannot
keep statements, so nothing is prepared unless `KAFKA_BRIDGE["PREPARED_STATEMENTS"]` says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper

from kafka_bridge import conf


@contextmanager
def cursor() -> Iterator[CursorWrapper]:
    """Return Django's cursor; what it executes is prepared, where statements are.

    For texts that are the same each time: one statement, with a cast at every parameter. Errors,
    transactions and recorded queries are those of any cursor of Django's.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as django:
        # Django records the text that its own cursor sends.
        if conf.PREPARED_STATEMENTS and not django.db.queries_logged:
            django.cursor = _Cursor(django.db.connection)
        yield django


class _Cursor(psycopg.Cursor[Any]):
    """Prepares a statement when it is executed again; parameters are bound on the server."""

    def execute(self, *arguments: Any, **options: Any) -> "_Cursor":
        # Only now, because psycopg would otherwise keep the texts of 100 other statements to count
        # them. After 1, because it forgets, but PostgreSQL keeps, what fails when it is prepared:
        # while a server is read-only, each failure would take memory there.
        self.connection.prepare_threshold = 1
        try:
            super().execute(*arguments, **options)
        finally:
            self.connection.prepare_threshold = None
        return self
