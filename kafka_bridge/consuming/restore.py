"""Events from before a restore (docs/restore.md).

After a backup is restored, consumers read again from Kafka what the backup lacks.

A handler that takes a decision and publishes it asks `is_before_restore` first. The decision taken
then is in Kafka too and comes back as an event. To decide again, with today's rows and in other
batches, could give another result.
"""

from datetime import datetime

from kafka_bridge.models import Restore


def begin() -> None:
    """Store the moment of the restore. Web, relay, worker and Beat must be stopped."""
    Restore.objects.create()


def is_before_restore(accepted_at: datetime) -> bool:
    """Return whether an event of that moment (its `time`, UTC) is replayed after a restore."""
    return Restore.objects.filter(restored_at__gt=accepted_at).exists()
