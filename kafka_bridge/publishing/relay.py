"""The relay: publishes the committed outbox, in order within a key, safe with several running.

A relay locks shards of the keys (advisory locks that end with its transaction), sends their oldest
messages, waits for the delivery reports and deletes the acknowledged ones. NOTIFY wakes it; a poll
once per POLL_SECONDS finds what a notification missed. A relay that is idle sends at once; what is
committed within GATHER_SECONDS of a round leaves together (ADR 55). What Kafka refuses for good is
marked and set aside for a person; the messages behind it leave.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from enum import IntEnum
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
MESSAGES_PER_ROUND: Final = 500  # in one transaction
EXTRA_MS: Final = 20_000  # added to DEADLINE_MS, because a message that waits may begin to count it later
POLL_SECONDS: Final = 1.0
# From one round to the next, if the first left nothing. It is the broker's beat for `inventario`:
# with a shorter one, a notice and the restock before it would leave in two rounds (ADR 55).
GATHER_SECONDS: Final = 0.07
OUTAGE_SECONDS: Final = 2.0
MOST_REASONS: Final = 10  # of partitions that take no message, which /health/ready names
# The shards that have messages, the one with the first priority or oldest message first, and how
# many each has. The LATERAL joins read no more rows per shard than a round sends.
_SHARDS_WAITING: Final = """
    SELECT shard, messages FROM generate_series(0, %s) shard CROSS JOIN LATERAL (
        SELECT priority, id FROM kafka_bridge_outboxmessage waiting
        WHERE waiting.shard = shard.shard AND refused_at IS NULL ORDER BY shard, priority DESC, id LIMIT 1
    ) first CROSS JOIN LATERAL (
        SELECT count(*) messages FROM (
            SELECT FROM kafka_bridge_outboxmessage waiting
            WHERE waiting.shard = shard.shard AND refused_at IS NULL LIMIT %s
        ) oldest
    ) counted ORDER BY first.priority DESC, first.id"""
# In one round trip, but in two transactions: on a new connection PostgreSQL leaves out what was
# notified before the commit of LISTEN, so the shards are read after it.
_LISTEN_AND_LOOK: Final = f"BEGIN; LISTEN {CHANNEL}; COMMIT; {_SHARDS_WAITING}"
# Two statements in one round trip. The second one sees what was committed before the locks were
# taken, and reads nothing of a shard that another relay has locked.
_TAKE: Final = """
    SELECT set_config('kafka_bridge.locked', ARRAY(
            SELECT shard FROM unnest(%s::int[]) shard WHERE pg_try_advisory_xact_lock(%s, shard)
        )::text, true),
        set_config('idle_in_transaction_session_timeout', %s, true);
    SELECT oldest.* FROM unnest(current_setting('kafka_bridge.locked')::int[]) locked CROSS JOIN LATERAL (
        SELECT id, event_id, topic, partition, key, value, headers, priority FROM kafka_bridge_outboxmessage
        WHERE shard = locked AND refused_at IS NULL
            AND (topic, partition) NOT IN (SELECT * FROM unnest(%s::text[], %s::int[]))
        ORDER BY shard, priority DESC, id LIMIT %s
    ) oldest ORDER BY priority DESC, id LIMIT %s"""


class Progress(IntEnum):
    """How many of the messages that a round found Kafka has acknowledged."""

    NOTHING = 0
    ALL = 1
    PART = 2  # or there may be more than a round sends


def run(stop: threading.Event) -> None:
    """Relay until `stop` is set; once per hour, delete claims that are too old.

    The relay waits out an outage of the database; in an outage of Kafka the rows stay.
    """
    pulse, sweep = Pulse("relay"), claims.Sweep()
    while not stop.is_set():
        try:
            hindrances = _hindrances()
            pulse.beat(working=not hindrances, hindrances=hindrances)
            began, progress = time.monotonic(), step()
            if progress is Progress.ALL:
                stop.wait(max(0.0, began + GATHER_SECONDS - time.monotonic()))
            if progress is not Progress.PART and not stop.is_set():
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


def step() -> Progress:
    """Relay each shard that has messages once.

    From then on this connection hears of commits to the outbox; repeating LISTEN does no harm. The
    caller has no transaction open: it would be committed.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LISTEN_AND_LOOK, [SHARDS - 1, MESSAGES_PER_ROUND])
        while cursor.nextset():
            pass
        waiting = cursor.fetchall()
    made = {_relay(shards) for shards in _together(waiting)}
    if made <= {Progress.NOTHING}:
        return Progress.NOTHING
    return Progress.ALL if made == {Progress.ALL} else Progress.PART


def _together(waiting: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Put shards together, in their order, as long as their messages fit into one transaction.

    A shard of a backlog is alone, so that several relays share the backlog.
    """
    groups: list[list[int]] = []
    room = 0
    for shard, messages in waiting:
        if messages > room:
            groups.append([])
            room = MESSAGES_PER_ROUND
        groups[-1].append(shard)
        room -= messages
    return groups


def _relay(shards: list[int]) -> Progress:
    """Send the oldest messages of the shards, without those that another relay has locked."""
    with transaction.atomic():
        messages = _take(shards)
        if not messages:
            return Progress.NOTHING
        outcome = _send(messages)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM kafka_bridge_outboxmessage WHERE id = ANY(%s)", [outcome.done])
        for pk, error in outcome.refused.items():
            logger.error("outbox row %s: Kafka refuses the message for good (%s), see the admin", pk, error.name())
            OutboxMessage.objects.filter(pk=pk).update(refused_at=Now(), refusal=error.name())
    metrics.RELAYED.inc(len(outcome.done))
    left = len(messages) - len(outcome.done) - len(outcome.refused)
    metrics.RELAY_FAILED.inc(left)
    if left == len(messages):
        return Progress.NOTHING
    return Progress.PART if left or len(messages) == MESSAGES_PER_ROUND else Progress.ALL


def _take(shards: list[int]) -> dict[int, Message]:
    """Lock the free ones of the shards until the transaction ends; return their first messages.

    They are by the ids of their rows. Left out are those of partitions known to be out of reach.
    The transaction is idle while Kafka acknowledges. It must outlast that wait also where the
    server ends idle transactions sooner: otherwise each round would send the same messages again.
    """
    unreachable = process_producer().breaker.open_partitions()
    topics, partitions = [topic for topic, _ in unreachable], [partition for _, partition in unreachable]
    limit = f"{DEADLINE_MS + EXTRA_MS}"
    with connection.cursor() as cursor:
        most = [MESSAGES_PER_ROUND, MESSAGES_PER_ROUND]
        cursor.execute(_TAKE, [shards, LOCK_CLASS, limit, topics, partitions, *most])
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
