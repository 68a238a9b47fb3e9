"""The runner of a consumer: poll, decode, one database transaction per batch, then Kafka's offset.

One process (lanes.py) and one Kafka consumer a lane. Where a topic has a priority lane, each lane subscribes with a group of
its own and leaves the other's partitions paused: neither waits for the other (ADR 3).
"""

import logging
import random
import threading
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from kafka_bridge.brokers import client
from kafka_bridge.brokers.messages import partition_of
from kafka_bridge.consuming import positions
from kafka_bridge.consuming.batch import Batch
from kafka_bridge.consuming.culprit import may_pass
from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.observer import Lane
from kafka_bridge.consuming.record import Record, read
from kafka_bridge.errors import database_answers, describe
from kafka_bridge.events.topics import PRIORITY_PARTITION, Partition
from kafka_bridge.exceptions import Fenced

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
BATCH_BYTES: Final = 8_000_000  # of values: a batch ends with the chunk that reaches it
CHUNK: Final = 100  # messages
PATIENT_ATTEMPTS: Final = 5  # how often a batch is tried whole when the error may pass
SERVERS_SECONDS: Final = 2.0  # how long Kafka may take to show that it is there
LONGEST_BACKOFF: Final = 10.0  # seconds
KAFKA_CONFIG: Final[dict[str, str | int | bool]] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.commit": False,
    "auto.offset.reset": "error",  # an offset that is gone is noticed, not skipped (positions.py)
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 2_000,
    "max.poll.interval.ms": 60_000,
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 16_384,  # bounds memory, whatever the backlog
    "fetch.queue.backoff.ms": 10,
}


class Runner:
    """Runs one lane of a consumer until `stop` is set. `lane` is a priority lane's name, or empty for the rest."""

    def __init__(
        self, consumer: Consumer, *, stop: threading.Event, lane: str = "", accept_loss: bool = False, group: str = ""
    ) -> None:
        self.consumer = consumer
        self.stop = stop
        self.lane = lane
        self.accept_loss = accept_loss
        self.max_batch = consumer.max_batch
        self.limit = FailureLimit()
        self.group_size = GroupSize(consumer.max_batch)
        self.history: deque[bool] = deque(maxlen=self.limit.window)  # of each message, whether it failed
        self.held: dict[Partition, int] = {}  # the next offset of each partition, as we last read or wrote it
        self.unpositioned: set[Partition] = set()  # assigned and paused until its offset is read
        self.topic_uuids: dict[str, str] = {}
        self.topics = {topic.name: topic for topic in consumer.topics if not lane or topic.priority_lane == lane}
        group = ".".join(filter(None, [group or consumer.name, lane]))
        self.observed = Lane(consumer.name, lane)
        self.watch = positions.TopicWatch(self.topics)
        config = {**settings.KAFKA_CLIENT_CONFIG, **KAFKA_CONFIG, "group.id": group, "on_commit": self._on_commit}
        self.kafka = KafkaConsumer(config, logger=client.client_logger)

    def run(self) -> None:
        """Polls and applies until told to stop, then leaves the group. Raises TooManyDeadLetters, OffsetsLost."""
        self.kafka.subscribe(
            list(self.topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        try:
            while not self.stop.is_set():
                self.step()
        finally:
            self.kafka.close()
            connection.close()
            self.observed.pulse.end()

    def step(self) -> bool:
        """One round: positions what was assigned, polls, applies. Returns whether a batch was applied."""
        self._look_for_remade_topics()
        self._position()
        records = self._poll()
        self.observed.came_round(self.kafka, self.held, positioned=not self.unpositioned)
        if not records:
            return False
        with self.observed.working_on(records):
            return self._apply(records)

    # Kafka's side

    def _takes(self, partition: Partition) -> bool:
        topic = self.topics[partition[0]]
        return bool(topic.priority_lane and partition[1] == PRIORITY_PARTITION) == bool(self.lane)

    def _on_assign(self, kafka: KafkaConsumer, assigned: list[TopicPartition]) -> None:
        """Paused until `_position` has read the database: this callback must not fail because that is down."""
        partitions = [(at.topic, at.partition) for at in assigned]
        kafka.incremental_assign([TopicPartition(*partition, OFFSET_BEGINNING) for partition in partitions])
        kafka.pause([TopicPartition(*partition) for partition in partitions])
        self.unpositioned.update(filter(self._takes, partitions))
        logger.info("%s: assigned %s", self.consumer.name, _names(filter(self._takes, partitions)))

    def _on_revoke(self, kafka: KafkaConsumer, revoked: list[TopicPartition]) -> None:
        """Between batches (or while one waits out an outage): nothing of ours is in flight. The next owner reads the rows."""
        for at in revoked:
            self.held.pop((at.topic, at.partition), None)
            self.unpositioned.discard((at.topic, at.partition))
        kafka.incremental_unassign(revoked)
        logger.info("%s: gave back %s", self.consumer.name, _names((at.topic, at.partition) for at in revoked))

    def _position(self) -> None:
        """Seeks each newly assigned or fenced partition to the database's offset and lets it flow."""
        if not self.unpositioned:
            return
        try:
            claimed = positions.claim(self.consumer.name, self.unpositioned, accept_loss=self.accept_loss)
            if not self.history:
                self.history.extend(positions.failures_before(self.consumer.name, claimed, self.limit.window))
        except (DatabaseError, InterfaceError, KafkaException) as error:
            if not may_pass(error):
                raise
            self._wait_out(error, attempt=1)
            return
        self.topic_uuids.update(claimed.topic_uuids)
        for partition, offset in claimed.offsets.items():
            if self._seek(partition, offset):
                self.held[partition] = offset
                self.unpositioned.discard(partition)

    def _seek(self, partition: Partition, offset: int) -> bool:
        """False where librdkafka has not started the partition yet: the next round tries again."""
        try:
            self.kafka.seek(TopicPartition(*partition, offset))
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            return False
        self.kafka.resume([TopicPartition(*partition)])
        return True

    def _poll(self) -> list[Record]:
        """A batch of what is there now: the first message ends the wait, the rest comes without waiting."""
        first = self.kafka.poll(POLL_SECONDS)
        if first is None:
            return []
        records = [read(message) for message in self._more(first) if self._is_good(message)]
        return [record for record in records if record.offset >= self.held.get(record.partition, record.offset + 1)]

    def _more(self, first: KafkaMessage) -> list[KafkaMessage]:
        """What is there already, up to a batch's count or bytes; the rest stays in the client's queue."""
        messages, size = [first], len(first)
        while len(messages) < self.max_batch and size < BATCH_BYTES:
            chunk = self.kafka.consume(min(CHUNK, self.max_batch - len(messages)), 0)
            if not chunk:
                break
            messages += chunk
            size += sum(map(len, chunk))
        return messages

    def _is_good(self, message: KafkaMessage) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._reposition([partition_of(message)])
        elif error.fatal():
            raise KafkaException(error)
        else:
            logger.warning("%s: %s", self.consumer.name, error)
        return False

    def _look_for_remade_topics(self) -> None:
        remade = self.watch.remade(self.topic_uuids)
        self._reposition([partition for partition in self.held if partition[0] in remade])

    def _reposition(self, partitions: Iterable[Partition]) -> None:
        """Stops a partition until its offset is read again."""
        ours = [partition for partition in partitions if self.held.pop(partition, None) is not None]
        self.kafka.pause([TopicPartition(*partition) for partition in ours])
        self.unpositioned.update(ours)

    # The database's side

    def _apply(self, records: list[Record]) -> bool:
        """Applies a batch, waiting out outages; True when it is committed, False when it must be read again."""
        verdict, failures = None, 0  # failures in a row with all servers there
        for attempt in count(1):
            patient = failures < PATIENT_ATTEMPTS
            batch = Batch(
                self.consumer,
                records,
                limit=self.limit,
                group_size=self.group_size,
                patient=patient,
                verdict=verdict,
            )
            try:
                offsets = batch.apply(self.held, self.topic_uuids, self.history)
            except Fenced as fenced:
                logger.warning("%s: reading the offset again", fenced)
                self.observed.fenced()
                break
            except Exception as error:
                lost = batch.lost_connection
                if not (lost or may_pass(error)):
                    raise
                self._wait_out(error, attempt)
                failures = failures + 1 if _servers_answer() else 0
                if not self._may_repeat(records, halve=lost and failures > 0):
                    break
                verdict = error if lost and failures >= PATIENT_ATTEMPTS else None
            else:
                self._committed(batch, offsets)
                return True
        self._reposition({record.partition for record in records})
        return False

    def _may_repeat(self, records: list[Record], *, halve: bool) -> bool:
        """Whether this very batch can be tried again. Otherwise whoever holds its partitions reads them from the rows.

        What loses a connection, as a transaction does that outlasts its time, cannot be looked for in savepoints.
        """
        if halve and len(records) > 1:
            self.max_batch = len(records) // 2  # grows again with each success
            return False
        return not self.stop.is_set() and all(record.partition in self.held for record in records)

    def _committed(self, batch: Batch, offsets: dict[Partition, int]) -> None:
        """The database has it: nothing from here on may try the batch again."""
        self.history.extend(batch.outcomes())
        self.max_batch = min(self.consumer.max_batch, 2 * self.max_batch)
        self.held.update(offsets)
        if batch.dead:
            logger.error("%s: %d dead letters, see the admin", self.consumer.name, len(batch.dead))
        self.observed.committed(batch)
        self._tell_kafka(offsets)

    def _tell_kafka(self, offsets: dict[Partition, int]) -> None:
        """For lag tools and autoscalers only (ADR 1)."""
        places = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        try:
            self.kafka.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            logger.warning("%s: Kafka does not take the offsets: %s", self.consumer.name, error)

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        for failure in filter(None, [error, *(at.error for at in places)]):
            logger.warning("%s: Kafka does not take an offset: %s", self.consumer.name, failure)

    def _wait_out(self, error: BaseException, attempt: int) -> None:
        """Backs off with jitter, paused but polling, so that the group keeps us; then with a new connection."""
        delay = min(LONGEST_BACKOFF, 0.1 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        logger.warning("%s: %s; again in %.1f s", self.consumer.name, describe(error), delay)
        self.observed.waiting()
        connection.close()
        paused = [TopicPartition(*partition) for partition in self.held]
        self.kafka.pause(paused)
        stray = self.kafka.poll(delay)
        if stray is not None and self._is_good(stray):
            self._reposition([partition_of(stray)])
        self.kafka.resume([at for at in paused if (at.topic, at.partition) in self.held])


def _servers_answer() -> bool:
    """Whether database and Kafka are there, whatever the last batch met."""
    return database_answers() and client.answers(SERVERS_SECONDS)


def _names(partitions: Iterable[Partition]) -> str:
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(partitions)) or "nothing"
