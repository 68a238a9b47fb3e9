"""The database's clock: what several machines must agree on is dated by it, and not by their own.

A machine's clock may be minutes ahead or behind, and jump when it is set right. All processes have
one PostgreSQL.
"""

from datetime import datetime

from django.db import connection
from django.utils import timezone


def database_now() -> datetime:
    """Return the time of the database's clock, in UTC. Raises django.db errors in an outage."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def earlier_now() -> datetime:
    """Return the earlier of the database's time and this machine's.

    For what must not happen early: one of the two clocks may then be ahead.
    """
    return min(database_now(), timezone.now())
