"""Publishing: `publish` returns when events are durable, in Kafka or in the outbox.

`apublish` is the same for code on an event loop.

Each process has one producer with one poll thread. A forked process creates its own, because an
inherited one never delivers; and a client that no longer delivers is replaced (ADR 50).
"""

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections

from kafka_bridge import conf
from kafka_bridge.brokers import certificate, client, trouble
from kafka_bridge.events.codec import Message, encode
from kafka_bridge.events.event import Event
from kafka_bridge.exceptions import MessageTooLarge, Unavailable
from kafka_bridge.publishing import outbox, refusals
from kafka_bridge.publishing.breaker import Breaker, Failure
from kafka_bridge.telemetry import logs, metrics
from kafka_bridge.together import Together

logger = logging.getLogger(__name__)

DEADLINE_MS: Final = 3_000  # shorter than an HTTP client's timeout; librdkafka's default is 300 s
RETRY_AFTER_SECONDS: Final = 5  # the Retry-After of a 503
SILENCE_SECONDS: Final = 10.0  # of a partition, after which another client tries (ADR 50)


def publish(*events: Event) -> None:
    """Make events durable within DEADLINE_MS and one INSERT.

    They are then acknowledged by all in-sync replicas, or committed to the outbox. Code that
    changes rows at the same time uses `outbox.add` in its transaction instead.

    Raises MessageTooLarge if Kafka would refuse one for its size. Nothing was sent then, unless the
    topic has a smaller limit of its own. Raises Unavailable if neither Kafka nor the database took
    them. Some may then be in Kafka, and a retry with the same ids creates no second event.
    """
    messages = _encoded(events)
    with metrics.PUBLISH_SECONDS.time():
        failures = process_producer().send(messages)
        left = _without_kafka(failures)
    _note(events, left)


async def apublish(*events: Event) -> None:
    """Do the same as `publish`, on an event loop, which does other work meanwhile."""
    messages = _encoded(events)
    with metrics.PUBLISH_SECONDS.time():
        producer = process_producer()
        failures = await producer.asend(messages)
        left = await producer.outbox.ask(failures) if failures else 0
    if isinstance(left, MessageTooLarge):
        raise left
    _note(events, left)


def _encoded(events: Sequence[Event]) -> list[Message]:
    messages = [encode(event) for event in events]
    refusals.check_sizes(messages)
    return messages


def _without_kafka(failures: list[Failure]) -> int:
    """Put the messages that Kafka did not acknowledge into the outbox; return how many."""
    refusals.check_limits_of_topics(failures)
    left = [message for message, _ in failures]
    if left:
        _into_outbox(left)
    return len(left)


def _without_kafka_together(calls: Sequence[list[Failure]]) -> list[int | MessageTooLarge]:
    """Do the same as `_without_kafka` for several calls, in one INSERT."""
    close_old_connections()  # as Django does before each request
    outcomes: list[int | MessageTooLarge] = []
    for failures in calls:
        try:
            refusals.check_limits_of_topics(failures)
            outcomes.append(len(failures))
        except MessageTooLarge as error:
            outcomes.append(error)
    kept = [failures for failures, left in zip(calls, outcomes, strict=True) if isinstance(left, int)]
    _into_outbox([message for failures in kept for message, _ in failures])
    return outcomes


def _note(events: Sequence[Event], left: int) -> None:
    logs.note_events([event.id for event in events])
    metrics.PUBLISHED.labels("kafka").inc(len(events) - left)


def _into_outbox(messages: list[Message]) -> None:
    try:
        outbox.add_messages(messages)
    except (DatabaseError, InterfaceError) as error:
        metrics.REFUSED.inc()
        raise Unavailable("Neither Kafka nor the database accepts events: retry later.") from error
    metrics.PUBLISHED.labels("outbox").inc(len(messages))


def kafka_config() -> dict[str, str | int | bool]:
    """Return the settings of a producer, without those of the connection."""
    return {
        "enable.idempotence": True,
        "acks": "all",
        # A request waits for its own event only. Under load, events that come while others
        # are on their way share a request to Kafka anyway (ADR 28).
        "linger.ms": 0,
        "delivery.timeout.ms": DEADLINE_MS - 200,
        "request.timeout.ms": DEADLINE_MS - 500,
        "socket.connection.setup.timeout.ms": 2_000,
        "socket.timeout.ms": client.SILENCE_MS,
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 1_000,
        # How soon new partitions are found, and a missing topic is told from a slow one.
        "topic.metadata.refresh.interval.ms": 10_000,
        "topic.metadata.propagation.max.ms": 1_000,
        "queue.buffering.max.messages": 100_000,
    }


class _Client:
    """A producer of librdkafka, and the thread that serves its delivery reports."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.certificate = certificate.version()
        own = {"client.id": f"{conf.PREFIX}-{os.getpid()}", "error_cb": trouble.note}
        self.producer = Producer({**settings.KAFKA_CLIENT_CONFIG, **own, **kafka_config()}, logger=client.client_logger)
        self.ended = False
        self.broken = False  # by a fatal error: only a new client delivers
        self.thread = threading.Thread(target=self._poll, name="kafka-producer-poll", daemon=True)
        self.thread.start()

    def _poll(self) -> None:
        """Serve reports until the client has ended and nothing of it is on its way.

        The client raises a fatal error here, such as the lack of every right to write. What it
        holds is then given up, so that no call waits for its report.
        """
        while not self.ended or len(self.producer):
            try:
                self.producer.poll(1.0)
            except KafkaException as error:
                trouble.note(error.args[0])
                self.broken = True
                self.producer.purge()


class _SharedProducer:
    """A process's client of Kafka and its circuit breaker, shared by its threads."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.breaker = Breaker()
        self.client = _Client()
        self._renewing = threading.Lock()
        # For event loops: while Kafka is away, what waits for the outbox is one INSERT.
        self.outbox = Together(_without_kafka_together)
        atexit.register(lambda: self.client.producer.flush(DEADLINE_MS / 1_000))

    def send(self, messages: list[Message]) -> list[Failure]:
        """Send, wait for the reports, and return the failures in the order of the messages.

        Messages to partitions known to be out of reach fail without waiting, and without an error.
        """
        sent, began = self.breaker.lets_through(messages), time.monotonic()
        if not sent:
            return [(message, None) for message in messages]
        reported = threading.Lock()  # held until all have reported: a lock wakes faster than an Event
        reported.acquire()
        used, delivery = self.client, _Delivery(sent, done=reported.release)
        delivery.send(used.producer)
        reported.acquire(timeout=DEADLINE_MS / 1_000)
        return self._learn(messages, delivery, used, began)

    async def asend(self, messages: list[Message]) -> list[Failure]:
        """Do the same as `send`, on an event loop."""
        sent, began = self.breaker.lets_through(messages), time.monotonic()
        if not sent:
            return [(message, None) for message in messages]
        loop = asyncio.get_running_loop()
        reported = loop.create_future()
        used, delivery = self.client, _Delivery(sent, done=partial(_from_thread, loop, partial(_finish, reported)))
        deadline = loop.call_later(DEADLINE_MS / 1_000, _finish, reported)
        delivery.send(used.producer)
        try:
            await reported
        finally:
            deadline.cancel()
        return self._learn(messages, delivery, used, began)

    def _learn(self, messages: list[Message], delivery: "_Delivery", used: _Client, began: float) -> list[Failure]:
        """Tell the breaker how a delivery ended; return the failures, those not sent among them."""
        failures = delivery.failures()
        self.breaker.learn(delivery.messages, failures, began)
        # After a fatal error of librdkafka's idempotent producer, only a new one delivers.
        fatal = used.broken or any(error is not None and error.fatal() for _, error in failures)
        if fatal or self._is_stuck(used, failures) or (failures and certificate.is_renewed(used.certificate)):
            self.renew(used)
        errors = {id(message): error for message, error in failures}
        done = {id(message) for message in delivery.messages} - errors.keys()
        return [(message, errors.get(id(message))) for message in messages if id(message) not in done]

    def _is_stuck(self, used: _Client, failures: list[Failure]) -> bool:
        """Return True if a partition that failed has long been silent to this client.

        Long is SILENCE_SECONDS. A partition to which nothing is sent any more tells nothing about
        the client. librdkafka (2.16) never follows a leader whose epoch is lower than the one it
        knows, and the epochs of a topic that was deleted and made again begin at 0. A new client
        knows none.
        """
        since = self.breaker.silent_since(message.destination for message, _ in failures)
        return since is not None and time.monotonic() - max(since, used.began) > SILENCE_SECONDS

    def renew(self, used: _Client) -> None:
        """Use a new client from now on, unless another thread has replaced this one already."""
        with self._renewing:
            if self.client is used:
                logger.warning("Kafka takes no events from this client: trying with a new one")
                self.client, used.ended = _Client(), True


def _finish(future: asyncio.Future[None]) -> None:
    """Let the future's coroutine go on."""
    if not future.done():
        future.set_result(None)


def _from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended, and its requests with it
        loop.call_soon_threadsafe(call)


class _Delivery:
    """One call's messages and their delivery reports, which arrive on the poll thread.

    `done` is called once all have reported; on the poll thread, or in `send`.
    """

    def __init__(self, messages: list[Message], done: Callable[[], None]) -> None:
        self.messages = messages
        self._errors: dict[int, KafkaError | None] = {}  # one entry per report
        self._reports = count(1)  # reports come on two threads, and each takes another number
        self._done = done

    def send(self, producer: Producer) -> None:
        for index, message in enumerate(self.messages):
            try:
                producer.produce(
                    message.topic,
                    partition=message.partition,
                    key=message.key,
                    value=message.value,
                    headers=list(message.headers),
                    on_delivery=partial(self._report, index),
                )
            except BufferError:  # librdkafka's queue is full: Kafka is slower than this process
                self._report(index, KafkaError(KafkaError._QUEUE_FULL), None)
            except KafkaException as error:  # message too large, missing partition, broken producer
                self._report(index, error.args[0], None)

    def failures(self) -> list[Failure]:
        """Return the failures until now, in order, each with its error.

        The error is None if no report has come, so that the message's fate is unknown.
        """
        errors: dict[int, KafkaError | None] = self._errors.copy()
        indexed = ((index, message, errors.get(index)) for index, message in enumerate(self.messages))
        return [(message, error) for index, message, error in indexed if error is not None or index not in errors]

    def _report(self, index: int, error: KafkaError | None, _message: KafkaMessage | None) -> None:
        self._errors[index] = error
        if next(self._reports) == len(self.messages):
            self._done()


class ProducerHolder:
    """This process's producer, created at first use and after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: _SharedProducer | None = None

    def get(self) -> _SharedProducer:
        current = self._current
        if current is not None and current.pid == os.getpid():
            return current
        with self._lock:
            if self._current is None or self._current.pid != os.getpid():  # another thread may have been faster
                self._current = _SharedProducer()
            return self._current


holder: Final = ProducerHolder()


def process_producer() -> _SharedProducer:
    """Return the producer of this process; never one that a fork inherited."""
    return holder.get()
