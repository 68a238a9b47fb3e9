"""Publishing: `publish` returns when an event is durable, in Kafka or, with Kafka out of reach, in the outbox.

One producer and one poll thread per process; a forked process makes its own (an inherited one never delivers).
"""

import atexit
import os
import threading
import time
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import DatabaseError, InterfaceError

from kafka_bridge import conf
from kafka_bridge.brokers import client
from kafka_bridge.events.codec import Message, encode
from kafka_bridge.events.event import Event
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.publishing import outbox
from kafka_bridge.publishing.breaker import Breaker, Failure
from kafka_bridge.telemetry import logs, metrics

DEADLINE_MS: Final = 3_000  # shorter than a client's patience; librdkafka's own default is 300 s
RETRY_AFTER_SECONDS: Final = 5  # what a client is told that was answered 503


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
            except KafkaException as error:  # too large, a partition that is not there, a producer past repair
                self._report(index, error.args[0], None)

    def failures(self, seconds: float) -> list[Failure]:
        """Waits for the reports; what failed, in order, with its error: None where the fate is unknown when time is up."""
        self._all_reported.wait(seconds)
        errors: dict[int, KafkaError | None] = self._errors.copy()
        indexed = ((index, message, errors.get(index)) for index, message in enumerate(self._messages))
        return [(message, error) for index, message, error in indexed if error is not None or index not in errors]

    def _report(self, index: int, error: KafkaError | None, _message: KafkaMessage | None) -> None:
        self._errors[index] = error
        if len(self._errors) == len(self._messages):
            self._all_reported.set()


class _Process:
    """This process's producer, its poll thread and its circuit breaker."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.breaker = Breaker()
        self.past_repair = False  # librdkafka's idempotent producer has met a fatal error: only a new one delivers
        self.producer = Producer(
            {
                **settings.KAFKA_CLIENT_CONFIG,
                "client.id": f"{conf.PREFIX}-{self.pid}",
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
            logger=client.client_logger,
        )
        threading.Thread(target=self._poll, name="kafka-producer-poll", daemon=True).start()
        atexit.register(self.producer.flush, DEADLINE_MS / 1_000)

    def _poll(self) -> None:
        while not self.past_repair:
            self.producer.poll(1.0)

    def deliver(self, messages: list[Message]) -> list[Message]:
        """Sends and waits; returns what Kafka did not acknowledge. It does not wait for partitions known to be away."""
        sent = self.breaker.lets_through(messages)
        if not sent:
            return messages
        began, delivery = time.monotonic(), _Delivery(sent)
        delivery.send(self.producer)
        failures = delivery.failures(DEADLINE_MS / 1_000)
        self.breaker.learn(sent, failures, began)
        self.past_repair |= any(error is not None and error.fatal() for _, error in failures)
        done = {id(message) for message in sent} - {id(message) for message, _ in failures}
        return [message for message in messages if id(message) not in done]


_lock = threading.Lock()
_process: _Process | None = None


def process_producer() -> _Process:
    """The producer of this very process, made at first use: never one that a fork inherited."""
    global _process  # noqa: PLW0603 - one producer a process is the point
    process = _process
    if process is None or process.pid != os.getpid() or process.past_repair:
        with _lock:
            process = _process
            if process is None or process.pid != os.getpid() or process.past_repair:
                process = _process = _Process()
    return process


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
