"""The relay: publishes the committed outbox, in order within a key, safe with several running.

A relay locks a shard of the keys (an advisory lock that ends with its transaction), sends the
shard's oldest messages, waits for their delivery reports and deletes the acknowledged ones. NOTIFY
wakes it; a poll once per POLL_SECONDS finds what a notification missed.
"""

import logging
import threading
from functools import reduce
from operator import or_
from typing import Final

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Q

from kafka_bridge.diagnosis import describe
from kafka_bridge.events.codec import Message
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import claims
from kafka_bridge.publishing.outbox import CHANNEL, SHARDS
from kafka_bridge.publishing.producer import DEADLINE_MS, process_producer
from kafka_bridge.telemetry import metrics
from kafka_bridge.telemetry.pulse import Pulse

logger = logging.getLogger(__name__)

LOCK_CLASS: Final = 0x6B62726C  # "kbrl", for kafka_bridge's relay: its own space of advisory locks
MESSAGES_PER_ROUND: Final = 500
LOCK: Final = """
    SELECT pg_try_advisory_xact_lock(%s, %s), set_config('idle_in_transaction_session_timeout', %s, true)"""
EXTRA_MS: Final = 20_000  # added to DEADLINE_MS, because a message that waits may begin to count it later
POLL_SECONDS: Final = 1.0
OUTAGE_SECONDS: Final = 2.0
# The shards that have messages, the one with the first priority or oldest message first. The
# LATERAL join reads one index row per shard, however long the outbox is.
SHARDS_WAITING: Final = """
    SELECT shard FROM generate_series(0, %s) shard CROSS JOIN LATERAL (
        SELECT priority, id FROM kafka_bridge_outboxmessage waiting
        WHERE waiting.shard = shard.shard ORDER BY shard, priority DESC, id LIMIT 1
    ) first ORDER BY first.priority DESC, first.id"""


def run(stop: threading.Event) -> None:
    """Relay until `stop` is set; once per hour, delete claims that are too old.

    The relay waits out an outage of the database; in an outage of Kafka the rows stay.
    """
    pulse, sweep = Pulse("relay"), claims.Sweep()
    while not stop.is_set():
        try:
            pulse.beat(working=True)
            listen()  # first, so that a commit after the look at the rows wakes the relay
            if not step():
                sweep.step()
                wait_for_news()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("outbox relay: %s; again in %.0f s", describe(error), OUTAGE_SECONDS)
            metrics.RELAY_OUTAGES.inc()
            pulse.beat(working=False)
            connection.close()
            stop.wait(OUTAGE_SECONDS)
    connection.close()
    pulse.end()


def step() -> bool:
    """Relay each shard that has messages once; return True if Kafka acknowledged any."""
    with connection.cursor() as cursor:
        cursor.execute(SHARDS_WAITING, [SHARDS - 1])
        shards = [shard for (shard,) in cursor.fetchall()]
    sent = [relay_shard(shard) for shard in shards]
    return any(sent)


def relay_shard(shard: int) -> bool:
    """Send a shard's oldest messages, unless another relay has locked the shard.

    Returns True if Kafka acknowledged any.
    """
    with transaction.atomic():
        if not _lock(shard):
            return False
        rows = _oldest(shard)
        sent = _acknowledged(rows)
        OutboxMessage.objects.filter(pk__in=sent).delete()
    metrics.RELAYED.inc(len(sent))
    metrics.RELAY_FAILED.inc(len(rows) - len(sent))
    return bool(sent)


def _lock(shard: int) -> bool:
    """Lock the shard until the transaction ends, if it is free.

    The transaction is idle while Kafka acknowledges. It must outlast that wait also where the
    server ends idle transactions sooner: otherwise each round would send the same messages again.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [LOCK_CLASS, shard, f"{DEADLINE_MS + EXTRA_MS}"])
        return bool(cursor.fetchone()[0])


def _oldest(shard: int) -> list[OutboxMessage]:
    """Return the shard's first messages, without those of partitions known to be out of reach."""
    unreachable = process_producer().breaker.open_partitions()
    waiting = OutboxMessage.objects.filter(shard=shard).exclude(
        reduce(or_, (Q(topic=topic, partition=partition) for topic, partition in unreachable), Q(pk__in=[]))
    )
    return list(waiting.order_by("shard", "-priority", "id")[:MESSAGES_PER_ROUND])


def _acknowledged(rows: list[OutboxMessage]) -> list[int]:
    """Publish rows and return the ids of those that are done.

    After a failure, the following rows with the same key are sent again in a later round, to keep
    the order within the key.
    """
    messages = {row.pk: _message(row) for row in rows}
    failed = {id(message) for message in process_producer().deliver(list(messages.values()))}
    stopped: set[bytes] = set()
    done = []
    for pk, message in messages.items():
        if id(message) in failed:
            stopped.add(message.key)
        if message.key not in stopped:
            done.append(pk)
    return done


def _message(row: OutboxMessage) -> Message:
    return Message(
        event_id=row.event_id,
        topic=row.topic,
        partition=row.partition,
        key=bytes(row.key),
        value=bytes(row.value),
        headers=tuple((name, value.encode()) for name, value in row.headers),
        priority=row.priority,
    )


def listen() -> None:
    """Subscribe this connection to commits to the outbox; repeating it does no harm."""
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")


def wait_for_news() -> None:
    """Return when something was committed to the outbox, at the latest after POLL_SECONDS."""
    with connection.wrap_database_errors:
        for _ in connection.connection.notifies(timeout=POLL_SECONDS, stop_after=1):
            pass
