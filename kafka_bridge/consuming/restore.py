"""Tell events that are replayed after a restore from new ones (docs/restore.md).

After a backup is restored, consumers read again from Kafka what the backup lacks.

A handler that takes a decision and publishes it asks `replayed` first. If an event is older than
the restore, its decision was taken and published before, and comes back from Kafka as an event. The
handler must not decide again: with the rows of today, the result could differ. What it publishes
nevertheless has the `time` of the cause, so that other handlers do not decide again either.
"""

from collections.abc import Sequence
from typing import TypeVar

from django.db import connection

from kafka_bridge.events import Event
from kafka_bridge.models import Restore

AnyEvent = TypeVar("AnyEvent", bound=Event)


def begin() -> None:
    """Store the moment of the restore. Web, relay, worker and Beat must be stopped."""
    Restore.objects.create()


def replayed(events: Sequence[AnyEvent]) -> list[AnyEvent]:
    """Return those of the events whose `time` is before the last restore. Makes one query."""
    if not events:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(restored_at) FROM kafka_bridge_restore")
        restored_at = cursor.fetchone()[0]
    return [event for event in events if restored_at and event.time < restored_at]
