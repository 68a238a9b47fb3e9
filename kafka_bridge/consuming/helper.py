"""A second process that helps a consumer through a backlog (ADR 62).

The process of the consumer's main lane forks its helper at the start. While its batches are full,
one after another, it lends the helper every other partition that has messages left. The helper
applies them until few messages come, and gives the partitions back.

The helper is no member of the Kafka group, so nothing is shared out again, and it begins at once.
Where a partition continues stands in the database, as always. If the group gives a lent partition
to another member, both may apply the same messages for a moment; the transaction that comes second
is fenced.
"""

import logging
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final, TypeAlias

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaException, TopicPartition

from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.partitions.held import names
from kafka_bridge.consuming.record import Record
from kafka_bridge.consuming.runner import SERVERS_SECONDS, Runner
from kafka_bridge.events.topics import Partition
from kafka_bridge.telemetry.pulse import Pulse

logger = logging.getLogger(__name__)

HELPER: Final = "helper"  # as a lane's name in metrics and log lines
BACKLOG_SECONDS: Final = 0.5  # of full batches, until the helper is asked
CALM_SECONDS: Final = 1.0  # without a full batch, until the helper gives back
WAIT_SECONDS: Final = 1.0  # from one beat of the waiting helper's pulse to the next

# The main lane's end sends partitions to lend, or None to call them back; the helper's sends None
# when it gives them back.
Lender: TypeAlias = "Connection[list[Partition] | None, None]"
Borrower: TypeAlias = "Connection[None, list[Partition] | None]"


class HelpedRunner(Runner):
    """Runs a main lane that lends partitions to a helper."""

    def __init__(self, consumer: Consumer, *, stop: threading.Event, helper: Lender, accept_loss: bool = False) -> None:
        super().__init__(consumer, stop=stop, accept_loss=accept_loss)
        self.helper = helper
        self.lent: set[Partition] = set()
        self.is_helped = False  # from lending until the helper has given back
        self._not_full_at = time.monotonic()

    def subscribe(self) -> None:
        """Join the group, with no partition lent."""
        self._call_back(self.lent)
        super().subscribe()

    def on_revoke(self, kafka: KafkaConsumer, revoked: list[TopicPartition]) -> None:
        """Give the partitions back to the group, also those that are lent."""
        self._call_back([(at.topic, at.partition) for at in revoked])
        super().on_revoke(kafka, revoked)

    def on_lost(self, kafka: KafkaConsumer, lost: list[TopicPartition]) -> None:
        """Give up partitions that others have already, also those that are lent."""
        self._call_back([(at.topic, at.partition) for at in lost])
        super().on_lost(kafka, lost)

    def poll(self) -> list[Record]:
        """Return the next batch; first take back what the helper gives back, or lend it some."""
        if self.is_helped:
            self._take_back_if_given()
        elif time.monotonic() - self._not_full_at >= BACKLOG_SECONDS:
            self._lend()
        records = super().poll()
        if self.is_helped or not (records and self.intake.is_full):
            self._not_full_at = time.monotonic()
        return records

    def _lend(self) -> None:
        """Lend every other partition with messages left.

        This is called between two batches, so the main lane has no message of theirs in hand.
        """
        left = {at: self._left(at) for at in self.partitions.held}
        behind = sorted(filter(left.get, left), key=lambda at: (-left[at], at))
        if lent := behind[1::2]:
            logger.info("%s: lends its helper %s", self.consumer.name, names(lent))
            self.partitions.lend(lent)
            self.lent, self.is_helped = set(lent), True
            self.helper.send(lent)

    def _left(self, at: Partition) -> int:
        """Return how many messages the partition has left, as far as the last fetch tells."""
        try:
            _, end = self.kafka.get_watermark_offsets(TopicPartition(*at), cached=True)
        except KafkaException:  # the partition is being revoked
            return 0
        return int(max(0, end - self.partitions.held[at]))

    def _call_back(self, taken: Collection[Partition]) -> None:
        """Note what the group takes: it will not be taken back from the helper.

        If some of it is lent, the helper gives everything back.
        """
        if not self.lent.isdisjoint(taken):
            self.lent.difference_update(taken)
            self.helper.send(None)

    def _take_back_if_given(self) -> None:
        if self.helper.poll():
            self.helper.recv()
            logger.info("%s: takes back %s", self.consumer.name, names(self.lent))
            self.partitions.take_back(self.lent)
            self.lent, self.is_helped = set(), False


class HelperRunner(Runner):
    """Applies lent partitions, until CALM_SECONDS without a full batch, or until called back."""

    process = HELPER

    def __init__(
        self, consumer: Consumer, lent: list[Partition], *, stop: threading.Event, lender: Borrower, accept_loss: bool
    ) -> None:
        super().__init__(consumer, stop=stop, accept_loss=accept_loss)
        self.lender = lender
        self.partitions.take_back(lent)
        self.observer.pulse.beat(working=True)  # the waiting helper was ready, and stays so
        self._full_at = time.monotonic()

    def subscribe(self) -> None:
        """Join no group, because the partitions are lent; ask for their leaders.

        A connected client looks for the leaders of a new topic only once a second.
        """
        for topic in {topic for topic, _ in self.partitions.unpositioned}:
            with suppress(KafkaException):  # Kafka does not answer: the client goes on asking
                self.kafka.list_topics(topic, timeout=SERVERS_SECONDS)

    def tell_kafka(self) -> None:
        """Leave the offsets to the main lane: Kafka takes them from members of the group only."""

    def step(self) -> bool:
        """Make one round, and note when a full batch is applied: that may take long."""
        is_applied = super().step()
        if is_applied and self.intake.is_full:
            self._full_at = time.monotonic()
        return is_applied

    def is_over(self) -> bool:
        """Return whether to give back.

        A helper that got a new client, for a recreated topic, has no partition left.
        """
        has_some = self.partitions.held or self.partitions.unpositioned
        is_calm = time.monotonic() - self._full_at >= CALM_SECONDS
        return super().is_over() or not has_some or is_calm or self.lender.poll()


def help_out(consumer: Consumer, *, stop: threading.Event, lender: Borrower, accept_loss: bool = False) -> None:
    """Apply what the main lane lends, again and again until `stop` is set.

    Raises what `Runner.run` raises.
    """
    while lent := _lent(consumer, stop, lender):
        HelperRunner(consumer, lent, stop=stop, lender=lender, accept_loss=accept_loss).run()
        lender.send(None)


def _lent(consumer: Consumer, stop: threading.Event, lender: Borrower) -> list[Partition]:
    """Wait for partitions, with a pulse; return none once `stop` is set."""
    pulse = Pulse(f"{consumer.name}.{HELPER}")
    lent: list[Partition] | None = None
    while not (lent or stop.is_set()):
        pulse.beat(working=True)
        if lender.poll(WAIT_SECONDS):
            lent = lender.recv()  # None calls back what has been given back already
    pulse.end()
    return lent or []
