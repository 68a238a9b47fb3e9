"""The transactional outbox: row changes and their events are committed together, or neither.

    with transaction.atomic():
        order.save()
        outbox.add(OrderShipped.now(...))

`manage.py run_outbox_relay` publishes what was committed.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from zlib import crc32

from django.db import connection
from django.db.models import Count

from kafka_bridge.events.codec import Message, encode
from kafka_bridge.events.event import Event
from kafka_bridge.models import OutboxMessage
from kafka_bridge.telemetry import logs

SHARDS: Final = 16
CHANNEL: Final = "kafka_bridge_outbox"


def add(*events: Event) -> None:
    """Queue events in the caller's transaction, in order, with one INSERT.

    Raises django.db.Error if the database is down.
    """
    add_messages(map(encode, events))
    logs.note_events([event.id for event in events])


def add_messages(messages: Iterable[Message]) -> None:
    """Queue messages that are encoded already; otherwise as `add`."""
    OutboxMessage.objects.bulk_create(map(_row, messages), batch_size=1_000)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])  # reaches the relays when the transaction commits


def older_than(moment: datetime, topics: Iterable[str]) -> dict[str, int]:
    """Count the messages accepted before `moment` that Kafka does not have yet, by topic."""
    older = OutboxMessage.objects.filter(created_at__lt=moment, topic__in=list(topics))
    return dict(older.order_by("topic").values_list("topic").annotate(Count("pk")))


def waiting(topic: str) -> bool:
    """Return whether accepted messages of the topic have not reached Kafka yet."""
    return OutboxMessage.objects.filter(topic=topic).exists()


def _row(message: Message) -> OutboxMessage:
    return OutboxMessage(
        event_id=message.event_id,
        topic=message.topic,
        partition=message.partition,
        key=message.key,
        value=message.value,
        headers=[[name, value.decode()] for name, value in message.headers],
        priority=message.priority,
        shard=crc32(message.key) % SHARDS,
    )
