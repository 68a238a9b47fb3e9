"""The circuit breaker: requests do not wait for a partition that does not acknowledge (ADR 8)."""

import logging
import time
from typing import Final

from confluent_kafka import KafkaError

from kafka_bridge.events.codec import Message
from kafka_bridge.events.topics import Partition
from kafka_bridge.publishing.refusals import is_of_the_message

logger = logging.getLogger(__name__)

Failure = tuple[Message, KafkaError | None]  # None: whether Kafka has the message is unknown

BREAKER_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 3.0  # the longest that a probing call may take: the producer's deadline


class Breaker:
    """The partitions that do not acknowledge, or all of Kafka.

    Only one call now and then tries them; the others do not wait. Each partition counts for itself:
    one without a leader must not delay the messages of the others.
    """

    def __init__(self) -> None:
        self._retry_at: dict[Partition | None, float] = {}  # monotonic seconds; None: all of Kafka
        self._last_success = 0.0  # monotonic seconds

    def open_partitions(self) -> list[Partition]:
        """Return the partitions that must not be tried now."""
        now = time.monotonic()
        return [at for at, retry_at in self._retry_at.copy().items() if at is not None and now < retry_at]

    def lets_through(self, messages: list[Message]) -> list[Message]:
        """Return the messages to try now."""
        if not messages or not self._may_try(None):
            return []
        allowed = {at for at in {message.destination for message in messages} if self._may_try(at)}
        return [message for message in messages if message.destination in allowed]

    def _may_try(self, at: Partition | None) -> bool:
        """Return True if the breaker is closed, or to the first call after its break.

        The calls after that one do not wait for its result.
        """
        now, retry_at = time.monotonic(), self._retry_at.get(at)
        if retry_at is None:
            return True
        if now < retry_at:
            return False
        self._retry_at[at] = now + PROBE_SECONDS
        return True

    def learn(self, sent: list[Message], failures: list[Failure], began: float) -> None:
        """Open and close the breaker by the result of a call that began at `began`.

        If nothing at all was acknowledged since then, all of Kafka counts as out of reach.
        """
        failed = {message.destination for message, error in failures if not is_of_the_message(error)}
        well = {message.destination for message in sent} - {message.destination for message, _ in failures}
        if well:
            self._last_success = time.monotonic()
            self._close(well)
        for at in failed:
            self._open(at, 2 * BREAKER_SECONDS)
        if failed and self._last_success < began:
            self._open(None, BREAKER_SECONDS)
            logger.warning("Kafka does not acknowledge: events go to the outbox, next try in %.0f s", BREAKER_SECONDS)
        elif failed:
            logger.warning("%s does not acknowledge: its events go to the outbox", sorted(failed))

    def _open(self, at: Partition | None, seconds: float) -> None:
        self._retry_at[at] = time.monotonic() + seconds

    def _close(self, well: set[Partition]) -> None:
        if self._retry_at.pop(None, None):
            logger.info("Kafka acknowledges again")
        for at in well:
            self._retry_at.pop(at, None)
