"""The circuit breaker: requests do not wait for a partition that does not acknowledge (ADR 8)."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError

from kafka_bridge.brokers import access, trouble
from kafka_bridge.diagnosis import NO_RIGHTS, concerns_topic
from kafka_bridge.events.codec import Message
from kafka_bridge.events.topics import Partition
from kafka_bridge.publishing.refusals import is_of_the_message

logger = logging.getLogger(__name__)

Failure = tuple[Message, KafkaError | None]  # None: whether Kafka has the message is unknown

BREAKER_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 3.0  # the longest that a probing call may take: the producer's deadline


@dataclass
class _Bad:
    """A partition that did not take a message; `silent` if no broker said why."""

    retry_at: float  # monotonic seconds
    silent: bool
    why: str
    since: float  # monotonic seconds


class Breaker:
    """The partitions that do not acknowledge, or all of Kafka.

    Only one call now and then tries them; the others do not wait. Each partition counts for itself:
    one that is missing or has no leader must not delay the messages of the others. All of Kafka
    counts as out of reach only when a partition that was good until now falls silent.
    """

    def __init__(self) -> None:
        self._bad: dict[Partition, _Bad] = {}
        self._all_retry_at: float | None = None  # monotonic seconds; None: Kafka acknowledges
        self._next_silent_probe = 0.0  # monotonic seconds: silent partitions cost a wait, so one at a time
        self._last_success = 0.0  # monotonic seconds

    def open_partitions(self) -> list[Partition]:
        """Return the partitions that must not be tried now."""
        now = time.monotonic()
        return [at for at, bad in self._bad.copy().items() if now < bad.retry_at]

    def reasons(self) -> list[str]:
        """Return why events are not sent, one sentence per partition that takes none."""
        return [bad.why for _, bad in sorted(self._bad.copy().items())]

    def silent_since(self, partitions: Iterable[Partition]) -> float | None:
        """Return since when (monotonic seconds) one of these is silent; None if none is."""
        known = self._bad.copy()
        return min((known[at].since for at in partitions if at in known and known[at].silent), default=None)

    def lets_through(self, messages: list[Message]) -> list[Message]:
        """Return the messages to try now.

        While all of Kafka is out of reach, one call tries; the calls after it do not wait for its
        result.
        """
        now = time.monotonic()
        if self._all_retry_at is not None and now < self._all_retry_at:
            return []
        allowed = {at for at in {message.destination for message in messages} if self._may_try(at, now)}
        if self._all_retry_at is not None and allowed - self._bad.keys():
            self._all_retry_at = now + PROBE_SECONDS
        return [message for message in messages if message.destination in allowed]

    def _may_try(self, at: Partition, now: float) -> bool:
        """Return True for a good partition, or to the first call after the break of a bad one."""
        bad = self._bad.get(at)
        if bad is None:
            return True
        if now < bad.retry_at or (bad.silent and now < self._next_silent_probe):
            return False
        bad.retry_at = now + PROBE_SECONDS
        if bad.silent:
            self._next_silent_probe = now + PROBE_SECONDS
        return True

    def learn(self, sent: list[Message], failures: list[Failure], began: float) -> None:
        """Open and close the breaker by the result of a call that began at `began`."""
        failed = {message.destination: error for message, error in failures if not is_of_the_message(error)}
        well = {message.destination for message in sent} - {message.destination for message, _ in failures}
        if well:
            self._last_success = time.monotonic()
            trouble.over()
            self._close(well)
        silent = {at for at, error in failed.items() if error is None or not concerns_topic(error)}
        news = silent - self._bad.keys()
        self._bad.update({at: self._failed_again(at, error, silent=at in silent) for at, error in failed.items()})
        if news and self._last_success < began:
            self._all_retry_at = time.monotonic() + BREAKER_SECONDS
            cause = trouble.sentence()
            logger.warning(
                "Kafka does not acknowledge%s: events go to the outbox, next try in %.0f s",
                f" ({cause})" if cause else "",
                BREAKER_SECONDS,
            )
        elif failed:
            logger.warning("events go to the outbox: %s", "; ".join(map(_reason, sorted(failed.items(), key=_place))))

    def _failed_again(self, at: Partition, error: KafkaError | None, *, silent: bool) -> _Bad:
        now, before = time.monotonic(), self._bad.get(at)
        since = before.since if before is not None and before.silent == silent else now
        return _Bad(now + 2 * BREAKER_SECONDS, silent, _reason((at, error)), since)

    def _close(self, well: set[Partition]) -> None:
        """Forget the partitions that acknowledged; after an outage of all of Kafka, forget all."""
        if self._all_retry_at is not None:
            self._all_retry_at = None
            self._bad.clear()
            logger.info("Kafka acknowledges again")
        for at in well:
            self._bad.pop(at, None)


def _place(failed: tuple[Partition, KafkaError | None]) -> Partition:
    return failed[0]


def _reason(failed: tuple[Partition, KafkaError | None]) -> str:
    (topic, partition), error = failed
    return f"{topic}[{partition}]: {_why(topic, error)}"


def _why(topic: str, error: KafkaError | None) -> str:
    if error is not None and error.code() in NO_RIGHTS:
        return access.lacking(error, "Write", f"topic {topic}")
    if error is not None and concerns_topic(error):
        return error.str()
    cause = trouble.sentence()
    return f"no acknowledgement: {cause}" if cause else "no acknowledgement"
