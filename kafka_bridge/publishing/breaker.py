"""The circuit breaker: while something does not acknowledge, requests do not wait for it (ADR 8)."""

import logging
import time
from typing import Final

from confluent_kafka import KafkaError

from kafka_bridge.events.codec import Message
from kafka_bridge.events.topics import Partition

logger = logging.getLogger(__name__)

Failure = tuple[Message, KafkaError | None]  # without an error: its fate is unknown

BREAKER_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 3.0  # how long the one call that tries may take: the producer's deadline


class Breaker:
    """What does not acknowledge: a partition, or all of Kafka. Nobody waits for it, but for one call now and then that tries.

    By partition, because one without a leader must not keep the messages of the others waiting.
    """

    def __init__(self) -> None:
        self._retry_at: dict[Partition | None, float] = {}  # monotonic seconds; None: all of Kafka
        self._well_at = 0.0  # when something was last acknowledged

    def open_partitions(self) -> list[Partition]:
        """Those that are not to be tried now."""
        now = time.monotonic()
        return [at for at, retry_at in self._retry_at.copy().items() if at is not None and now < retry_at]

    def lets_through(self, messages: list[Message]) -> list[Message]:
        """The messages to try now."""
        if not messages or not self._may_try(None):
            return []
        tried = {at for at in {partition_of(message) for message in messages} if self._may_try(at)}
        return [message for message in messages if partition_of(message) in tried]

    def _may_try(self, what: Partition | None) -> bool:
        """Whoever comes first after the break tries; the others do not wait for what comes of it."""
        now, retry_at = time.monotonic(), self._retry_at.get(what)
        if retry_at is None:
            return True
        if now < retry_at:
            return False
        self._retry_at[what] = now + PROBE_SECONDS
        return True

    def learn(self, sent: list[Message], failures: list[Failure], began: float) -> None:
        """What a call that began at `began` found. Where nothing at all was acknowledged meanwhile, Kafka is away."""
        failed = {partition_of(message) for message, error in failures if not is_of_the_message(error)}
        well = {partition_of(message) for message in sent} - {partition_of(message) for message, _ in failures}
        if well:
            self._well_at = time.monotonic()
            self._close(well)
        for at in failed:
            self._open(at, 2 * BREAKER_SECONDS)
        if failed and self._well_at < began:
            self._open(None, BREAKER_SECONDS)
            logger.warning("Kafka does not acknowledge: events go to the outbox, next try in %.0f s", BREAKER_SECONDS)
        elif failed:
            logger.warning("%s without acknowledgement: its events go to the outbox", sorted(failed))

    def _open(self, what: Partition | None, seconds: float) -> None:
        self._retry_at[what] = time.monotonic() + seconds

    def _close(self, well: set[Partition]) -> None:
        if self._retry_at.pop(None, None):
            logger.info("Kafka acknowledges again")
        for at in well:
            self._retry_at.pop(at, None)


def partition_of(message: Message) -> Partition:
    """Where it goes: topic and partition."""
    return message.topic, message.partition


def is_of_the_message(error: KafkaError | None) -> bool:
    """Whether the message itself is refused, so that the next one may fare better."""
    return error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE
