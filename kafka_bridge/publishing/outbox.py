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
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from kafka_bridge.events.codec import Message, encode
from kafka_bridge.events.event import Event
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import refusals
from kafka_bridge.telemetry import logs

SHARDS: Final = 16
CHANNEL: Final = "kafka_bridge_outbox"


def add(*events: Event) -> None:
    """Queue events in the caller's transaction, in order, with one INSERT.

    Raises MessageTooLarge if Kafka would refuse one for its size, and django.db.Error if the
    database is down.
    """
    add_messages(map(encode, events))
    logs.note_events([event.id for event in events])


def add_messages(messages: Iterable[Message]) -> None:
    """Queue messages that are encoded already; otherwise as `add`."""
    queued = list(messages)
    refusals.check_sizes(queued)
    OutboxMessage.objects.bulk_create(map(_row, queued), batch_size=1_000)
    _notify()


def _notify() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])  # reaches the relays when the transaction commits


def older_than(moment: datetime, topics: Iterable[str]) -> dict[str, int]:
    """Count the messages accepted before `moment` that Kafka does not have yet, by topic.

    One that lies in the future counts: the database's clock was ahead when it was accepted.
    Those that Kafka has refused are left out: only a person can decide about them (`refused`).
    """
    accepted = Q(created_at__lt=moment) | Q(created_at__gt=Now())
    return _by_topic(OutboxMessage.objects.filter(accepted, refused_at=None), topics)


def refused(topics: Iterable[str]) -> dict[str, int]:
    """Count the messages that Kafka has refused for good and that wait for a person, by topic."""
    return _by_topic(OutboxMessage.objects.filter(refused_at__isnull=False), topics)


def _by_topic(rows: "QuerySet[OutboxMessage]", topics: Iterable[str]) -> dict[str, int]:
    chosen = rows.filter(topic__in=list(topics))
    return dict(chosen.order_by("topic").values_list("topic").annotate(Count("pk")))


def waiting(topic: str) -> bool:
    """Return whether accepted messages of the topic are still on their way to Kafka."""
    return OutboxMessage.objects.filter(topic=topic, refused_at=None).exists()


def lock_refused(rows: "QuerySet[OutboxMessage]") -> list[OutboxMessage]:
    """Lock those that Kafka has refused, until the caller's transaction ends, and return them."""
    return list(rows.filter(refused_at__isnull=False).order_by("pk").select_for_update(of=("self",)))


def send_again(rows: Iterable[OutboxMessage]) -> None:
    """Let the relay send refused messages again; what Kafka still refuses is set aside again."""
    OutboxMessage.objects.filter(pk__in=[row.pk for row in rows]).update(refused_at=None, refusal="")
    _notify()


def discard(rows: Iterable[OutboxMessage]) -> None:
    """Delete refused messages for good."""
    OutboxMessage.objects.filter(pk__in=[row.pk for row in rows]).delete()


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
