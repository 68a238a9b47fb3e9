"""History: after a backup was restored, consumers see again what happened since (docs/restore.md).

A handler that decides something and publishes its decision asks here first. What was decided then is in Kafka too and comes
back as an event: deciding again, with today's rows and in other batches, would make another past.
"""

from datetime import datetime

from kafka_bridge.models import Restore


def begin() -> None:
    """Everything accepted until now is history. Web, relay, worker and Beat must be stopped."""
    Restore.objects.create()


def is_history(accepted_at: datetime) -> bool:
    """Whether an event of that moment (its `time`, UTC) is being replayed after a restore."""
    return Restore.objects.filter(restored_at__gt=accepted_at).exists()
