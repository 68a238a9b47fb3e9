"""The offsets that Kafka is told, for lag tools and autoscalers: no consumer reads them (ADR 1)."""

import logging
import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafka_bridge.events.topics import Partition

logger = logging.getLogger(__name__)

COMMIT_SECONDS: Final = 1.0  # between two commits: a commit costs the broker as much as a batch of messages
AGAIN_SECONDS: Final = 3.0  # after a refused commit: the group is just sharing out its partitions


class KafkaCommits:
    """Commits a lane's offsets once per COMMIT_SECONDS, and when partitions are given back.

    What Kafka has not taken is sent again, also where no message follows: by this member or, since
    a member commits what it is given as well, by the next owner. Otherwise a partition at rest
    would seem to wait without end.
    """

    def __init__(self, consumer: str) -> None:
        self.consumer = consumer
        self._told: dict[Partition, int] = {}  # the offsets that Kafka has, or is just being sent
        self._next_at = 0.0  # monotonic seconds

    def send_if_due(self, kafka: KafkaConsumer, held: Mapping[Partition, int]) -> None:
        """Commit the offsets that Kafka does not have, unless the last commit was just now."""
        if time.monotonic() >= self._next_at:
            self.send(kafka, held)

    def send(self, kafka: KafkaConsumer, held: Mapping[Partition, int]) -> None:
        """Commit the offsets that Kafka does not have, without waiting for its answer."""
        self._told = {at: offset for at, offset in self._told.items() if at in held}
        news = {at: offset for at, offset in held.items() if self._told.get(at) != offset}
        if not news:
            return
        self._told.update(news)
        self._next_at = time.monotonic() + COMMIT_SECONDS
        places = [TopicPartition(*partition, offset) for partition, offset in news.items()]
        try:
            kafka.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            logger.warning("%s: Kafka does not take the offsets: %s", self.consumer, error)
            self._send_again(places)

    def on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """Log what Kafka refused, to send it again. The database has the offsets."""
        refused = [at for at in places if error or at.error]
        for failure in filter(None, [error, *(at.error for at in refused)]):
            logger.warning("%s: Kafka does not take an offset: %s", self.consumer, failure)
        self._send_again(refused)

    def _send_again(self, refused: list[TopicPartition]) -> None:
        for at in refused:
            self._told.pop((at.topic, at.partition), None)
            self._next_at = time.monotonic() + AGAIN_SECONDS
