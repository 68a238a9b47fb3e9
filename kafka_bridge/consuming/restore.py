"""Tell events that are replayed after a restore from new ones (docs/restore.md).

After a backup is restored, consumers read again from Kafka what the backup lacks.

A handler that takes a decision and publishes it asks `is_before_restore` first. If the event is
older than the restore, its decision was taken and published before, and comes back from Kafka as an
event. The handler must not decide again: with the rows of today, the result could differ.
"""

from datetime import datetime

from django.db import connection

from kafka_bridge.models import Restore


def begin() -> None:
    """Store the moment of the restore. Web, relay, worker and Beat must be stopped."""
    Restore.objects.create()


def is_before_restore(accepted_at: datetime) -> bool:
    """Return whether an event of that moment (its `time`, UTC) is replayed after a restore."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM kafka_bridge_restore WHERE restored_at > %s)", [accepted_at])
        return bool(cursor.fetchone()[0])
