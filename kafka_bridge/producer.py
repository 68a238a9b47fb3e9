"""Publishing: `publish` returns when an event is durable, in Kafka or, with Kafka out of reach, in the outbox.

One producer and one poll thread per process; a forked process makes its own (an inherited one never delivers).
"""

import atexit
import logging
import os
import threading
import time
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import DatabaseError, InterfaceError

from kafka_bridge import broker, logs, metrics, outbox
from kafka_bridge.events import Event, Message, encode

logger = logging.getLogger(__name__)

DEADLINE_MS: Final = 3_000  # shorter than a client's patience; librdkafka's own default is 300 s
BREAKER_SECONDS: Final = 5.0


class Unavailable(Exception):
    """Neither Kafka nor the database took the events: nothing was accepted. Answer 503 and let the client retry."""


class _Delivery:
    """One call's messages and their delivery reports, which arrive on the poll thread."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self._errors: dict[int, KafkaError | None] = {}  # one entry a report
        self._all_reported = threading.Event()

    def send(self, producer: Producer) -> None:
        for index, message in enumerate(self._messages):
            try:
                producer.produce(
                    message.topic,
                    partition=message.partition,
                    key=message.key,
                    value=message.value,
                    headers=list(message.headers),
                    on_delivery=partial(self._report, index),
                )
            except BufferError:  # librdkafka's queue is full: Kafka is slower than we are
                self._report(index, KafkaError(KafkaError._QUEUE_FULL), None)

    def unacknowledged(self, seconds: float) -> list[Message]:
        """Waits for the reports; the messages that failed, or whose fate is unknown when time is up, in their order."""
        self._all_reported.wait(seconds)
        errors = self._errors.copy()
        return [message for index, message in enumerate(self._messages) if errors.get(index, True)]

    def _report(self, index: int, error: KafkaError | None, _message: KafkaMessage | None) -> None:
        self._errors[index] = error
        if len(self._errors) == len(self._messages):
            self._all_reported.set()


class _Process:
    """This process's producer, its poll thread and its circuit breaker."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.retry_at = 0.0  # monotonic seconds; until then Kafka is taken to be down
        self.producer = Producer(
            {
                **settings.KAFKA_CLIENT_CONFIG,
                "client.id": f"mamochi-{self.pid}",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "delivery.timeout.ms": DEADLINE_MS - 200,
                "request.timeout.ms": DEADLINE_MS - 500,
                "socket.connection.setup.timeout.ms": 2_000,
                "reconnect.backoff.ms": 250,
                "reconnect.backoff.max.ms": 1_000,
                "queue.buffering.max.messages": 100_000,
            },
            logger=broker.client_logger,
        )
        threading.Thread(target=self._poll, name="kafka-producer-poll", daemon=True).start()
        atexit.register(self.producer.flush, DEADLINE_MS / 1_000)

    def _poll(self) -> None:
        while True:
            self.producer.poll(1.0)

    def deliver(self, messages: list[Message]) -> list[Message]:
        """Sends and waits; returns what Kafka did not acknowledge. While Kafka is known to be down it does not wait."""
        if not messages or time.monotonic() < self.retry_at:
            return messages
        probing, self.retry_at = bool(self.retry_at), time.monotonic() + DEADLINE_MS / 1_000 if self.retry_at else 0.0
        delivery = _Delivery(messages)
        delivery.send(self.producer)
        left = delivery.unacknowledged(DEADLINE_MS / 1_000)
        self._learn(len(left) == len(messages), probing)
        return left

    def _learn(self, all_failed: bool, probing: bool) -> None:
        if all_failed:
            self.retry_at = time.monotonic() + BREAKER_SECONDS
            logger.warning("Kafka does not acknowledge: events go to the outbox, next try in %.0f s", BREAKER_SECONDS)
        elif probing:
            self.retry_at = 0.0
            logger.info("Kafka acknowledges again")


_lock = threading.Lock()
_process: _Process | None = None


def process_producer() -> _Process:
    """The producer of this very process, made at first use: never one that a fork inherited."""
    global _process  # noqa: PLW0603 - one producer a process is the point
    if _process is None or _process.pid != os.getpid():
        with _lock:
            if _process is None or _process.pid != os.getpid():
                _process = _Process()
    return _process


def publish(*events: Event) -> None:
    """Makes events durable: acknowledged by all in-sync replicas, or committed to the outbox, within DEADLINE_MS and an INSERT.

    Not for code that changes rows in the same breath: that takes `outbox.add` in its transaction. Raises Unavailable where
    neither Kafka nor the database took them; some may then be in Kafka, and a retry with the same ids collapses.
    """
    with metrics.PUBLISH_SECONDS.time():
        left = process_producer().deliver([encode(event) for event in events])
        if left:
            _into_outbox(left)
    logs.note_events([event.id for event in events])
    metrics.PUBLISHED.labels("kafka").inc(len(events) - len(left))


def _into_outbox(messages: list[Message]) -> None:
    try:
        outbox.add_messages(messages)
    except (DatabaseError, InterfaceError) as error:
        metrics.REFUSED.inc()
        raise Unavailable("Neither Kafka nor the database accepts events: retry later.") from error
    metrics.PUBLISHED.labels("outbox").inc(len(messages))
