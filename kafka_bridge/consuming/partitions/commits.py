"""The offsets that Kafka is told, for lag tools and autoscalers: no consumer reads them (ADR 1)."""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafka_bridge.events.topics import Partition

logger = logging.getLogger(__name__)

COMMIT_SECONDS: Final = 1.0  # between two commits: a commit costs the broker as much as a batch of messages


class KafkaCommits:
    """Commits a lane's offsets once per COMMIT_SECONDS, and when partitions are given back."""

    def __init__(self, consumer: str) -> None:
        self.consumer = consumer
        self._pending: dict[Partition, int] = {}
        self._next_at = 0.0  # monotonic seconds

    def note(self, offsets: Mapping[Partition, int]) -> None:
        """Remember offsets that are in the database for the next commit."""
        self._pending.update(offsets)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Leave out partitions that this member has lost: Kafka would refuse the commit."""
        for partition in partitions:
            self._pending.pop(partition, None)

    def send_if_due(self, kafka: KafkaConsumer) -> None:
        """Commit what is noted, unless the last commit was just now."""
        if self._pending and time.monotonic() >= self._next_at:
            self.send(kafka)

    def send(self, kafka: KafkaConsumer) -> None:
        """Commit what is noted, without waiting for Kafka's answer."""
        if not self._pending:
            return
        places = [TopicPartition(*partition, offset) for partition, offset in self._pending.items()]
        self._pending.clear()
        self._next_at = time.monotonic() + COMMIT_SECONDS
        try:
            kafka.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            logger.warning("%s: Kafka does not take the offsets: %s", self.consumer, error)

    def on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """Log what Kafka refused. The database has the offsets, so nothing is lost."""
        for failure in filter(None, [error, *(at.error for at in places)]):
            logger.warning("%s: Kafka does not take an offset: %s", self.consumer, failure)
