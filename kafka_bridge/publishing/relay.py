"""The relay: publishes the committed outbox, in order within a key, safe with several running.

A relay locks a shard of the keys (an advisory lock that ends with its transaction), sends the
shard's oldest messages, waits for their delivery reports and deletes the acknowledged ones. NOTIFY
wakes it; a poll once per POLL_SECONDS finds what a notification missed. What Kafka refuses for good
is marked and set aside for a person; the messages behind it leave.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import KafkaError
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models.functions import Now

from kafka_bridge.diagnosis import describe
from kafka_bridge.events.codec import Message
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import claims
from kafka_bridge.publishing.outbox import CHANNEL, SHARDS
from kafka_bridge.publishing.producer import DEADLINE_MS, process_producer
from kafka_bridge.publishing.refusals import is_of_the_message
from kafka_bridge.telemetry import metrics
from kafka_bridge.telemetry.pulse import Pulse

logger = logging.getLogger(__name__)

LOCK_CLASS: Final = 0x6B62726C  # "kbrl", for kafka_bridge's relay: its own space of advisory locks
MESSAGES_PER_ROUND: Final = 500
EXTRA_MS: Final = 20_000  # added to DEADLINE_MS, because a message that waits may begin to count it later
POLL_SECONDS: Final = 1.0
OUTAGE_SECONDS: Final = 2.0
MOST_REASONS: Final = 10  # of partitions that take no message, which /health/ready names
# The shards that have messages, the one with the first priority or oldest message first. The
# LATERAL join reads one index row per shard, however long the outbox is.
_SHARDS_WAITING: Final = """
    SELECT shard FROM generate_series(0, %s) shard CROSS JOIN LATERAL (
        SELECT priority, id FROM kafka_bridge_outboxmessage waiting
        WHERE waiting.shard = shard.shard AND refused_at IS NULL ORDER BY shard, priority DESC, id LIMIT 1
    ) first ORDER BY first.priority DESC, first.id"""
# Two statements in one round trip. The second one sees what was committed before the lock was
# taken, and reads nothing if another relay has the lock.
_TAKE: Final = """
    SELECT set_config('kafka_bridge.has_lock', pg_try_advisory_xact_lock(%s, %s)::text, true),
        set_config('idle_in_transaction_session_timeout', %s, true);
    SELECT id, event_id, topic, partition, key, value, headers, priority FROM kafka_bridge_outboxmessage
    WHERE current_setting('kafka_bridge.has_lock')::boolean AND shard = %s AND refused_at IS NULL
        AND (topic, partition) NOT IN (SELECT * FROM unnest(%s::text[], %s::int[]))
    ORDER BY shard, priority DESC, id LIMIT %s"""


def run(stop: threading.Event) -> None:
    """Relay until `stop` is set; once per hour, delete claims that are too old.

    The relay waits out an outage of the database; in an outage of Kafka the rows stay.
    """
    pulse, sweep = Pulse("relay"), claims.Sweep()
    while not stop.is_set():
        try:
            hindrances = _hindrances()
            pulse.beat(working=not hindrances, hindrances=hindrances)
            if not step():
                sweep.step()
                wait_for_news()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("outbox relay: %s; again in %.0f s", describe(error), OUTAGE_SECONDS)
            metrics.RELAY_OUTAGES.inc()
            pulse.beat(working=False, hindrances=[describe(error)])
            connection.close()
            stop.wait(OUTAGE_SECONDS)
    connection.close()
    pulse.end()


def _hindrances() -> list[str]:
    """Return why waiting messages are not sent, for /health/ready; empty if none waits."""
    reasons = process_producer().breaker.reasons()
    return reasons[:MOST_REASONS] if reasons and OutboxMessage.objects.exists() else []


def step() -> bool:
    """Relay each shard that has messages once; return True if Kafka acknowledged any.

    From then on this connection hears of commits to the outbox; repeating LISTEN does no harm.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}; {_SHARDS_WAITING}", [SHARDS - 1])
        cursor.nextset()
        shards = [shard for (shard,) in cursor.fetchall()]
    sent = [relay_shard(shard) for shard in shards]
    return any(sent)


def relay_shard(shard: int) -> bool:
    """Send a shard's oldest messages, unless another relay has locked the shard.

    Returns True if Kafka acknowledged any.
    """
    with transaction.atomic():
        messages = _take(shard)
        if not messages:
            return False
        outcome = _send(messages)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM kafka_bridge_outboxmessage WHERE id = ANY(%s)", [outcome.done])
        for pk, error in outcome.refused.items():
            logger.error("outbox row %s: Kafka refuses the message for good (%s), see the admin", pk, error.name())
            OutboxMessage.objects.filter(pk=pk).update(refused_at=Now(), refusal=error.name())
    metrics.RELAYED.inc(len(outcome.done))
    metrics.RELAY_FAILED.inc(len(messages) - len(outcome.done) - len(outcome.refused))
    return bool(outcome.done or outcome.refused)


def _take(shard: int) -> dict[int, Message]:
    """Lock the shard until the transaction ends, if it is free; return its first messages by id.

    Left out are those of partitions known to be out of reach. The transaction is idle while Kafka
    acknowledges. It must outlast that wait also where the server ends idle transactions sooner:
    otherwise each round would send the same messages again.
    """
    unreachable = process_producer().breaker.open_partitions()
    topics, partitions = [topic for topic, _ in unreachable], [partition for _, partition in unreachable]
    limit = f"{DEADLINE_MS + EXTRA_MS}"
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [LOCK_CLASS, shard, limit, shard, topics, partitions, MESSAGES_PER_ROUND])
        cursor.nextset()
        return {pk: _message(row) for pk, *row in cursor.fetchall()}


class Outcome(NamedTuple):
    """The ids of rows that Kafka acknowledged, and the errors of those that it refuses for good."""

    done: list[int]
    refused: dict[int, KafkaError]


def _send(messages: dict[int, Message]) -> Outcome:
    """Publish messages and return what became of them, by the ids of their rows.

    After a failure that may pass, the following rows with the same key are sent again in a later
    round, to keep the order within the key. After a refusal they are not: the row will not follow.
    """
    errors = {id(message): error for message, error in process_producer().send(list(messages.values()))}
    stopped: set[bytes] = set()
    outcome = Outcome([], {})
    for pk, message in messages.items():
        failed, error = id(message) in errors, errors.get(id(message))
        if is_of_the_message(error):
            failed, error = _send_alone(message)
        if failed and error is not None and is_of_the_message(error):
            outcome.refused[pk] = error
            continue
        if failed:
            stopped.add(message.key)
        if message.key not in stopped:
            outcome.done.append(pk)
    return outcome


def _send_alone(message: Message) -> tuple[bool, KafkaError | None]:
    """Send a message of a refused batch again; return whether that fails, and the error.

    Kafka refuses a batch as a whole, so the error says nothing about one of several messages.
    """
    failures = process_producer().send([message])
    return bool(failures), failures[0][1] if failures else None


def _message(row: Sequence[Any]) -> Message:
    """Return the message of a row of `_TAKE`, which comes without its id."""
    event_id, topic, partition, key, value, headers, priority = row
    texts: list[tuple[str, str]] = msgspec.json.decode(headers)
    pairs = tuple((name, value.encode()) for name, value in texts)
    return Message(event_id, topic, partition, bytes(key), bytes(value), pairs, priority)


def wait_for_news() -> None:
    """Return when something was committed to the outbox, at the latest after POLL_SECONDS."""
    with connection.wrap_database_errors:
        for _ in connection.connection.notifies(timeout=POLL_SECONDS, stop_after=1):
            pass
