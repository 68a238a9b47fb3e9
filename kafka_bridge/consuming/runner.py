"""The loop of a consumer: poll, decode, one database transaction per batch, then Kafka's offset.

Each lane has one process (lanes.py) and one Kafka consumer. If a topic has a priority lane, each
lane subscribes with a group of its own and leaves the other lane's partitions paused, so that
neither lane waits for the other (ADR 3).
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
from kafka_bridge.brokers.messages import partition_of, size_of
from kafka_bridge.consuming import poison, positions
from kafka_bridge.consuming.attempt import may_pass
from kafka_bridge.consuming.batch import Batch
from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.observer import LaneObserver
from kafka_bridge.consuming.record import Record, read
from kafka_bridge.errors import database_answers, describe
from kafka_bridge.events.topics import PRIORITY_PARTITION, Partition
from kafka_bridge.exceptions import Fenced

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5  # how long a round waits for a first message
CHUNK: Final = 100  # messages that are taken from the client at once
BATCH_BYTES: Final = 8_000_000  # of values; the chunk that reaches it is the last of a batch
FETCH_BYTES: Final = 65_536  # of one answer of a broker, as stored; a larger batch is still sent, alone
PATIENT_ATTEMPTS: Final = 5  # how often a batch is tried as a whole when the error may pass
SERVERS_SECONDS: Final = 2.0  # how long Kafka may take to answer
LONGEST_BACKOFF: Final = 10.0  # seconds

KAFKA_CONFIG: Final[dict[str, str | int | bool]] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.commit": False,
    "auto.offset.reset": "error",  # a message that Kafka no longer has is an error, not skipped (positions.py)
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 2_000,
    "max.poll.interval.ms": 60_000,
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 16_384,  # limits memory, however long the backlog is
    "fetch.queue.backoff.ms": 10,
    # Limits what one answer may unpack to: gzip makes up to 1,032 bytes of one.
    "fetch.message.max.bytes": FETCH_BYTES,
    "fetch.max.bytes": FETCH_BYTES,
    "message.max.bytes": FETCH_BYTES,  # of a producer; librdkafka wants it to be no more than fetch.max.bytes
}


class Runner:
    """Runs one lane of a consumer until `stop` is set.

    `lane` is the name of a priority lane, or empty for the main lane. `group` replaces the
    consumer's name as the Kafka group. With `accept_loss`, messages that Kafka no longer has are
    skipped.
    """

    def __init__(
        self, consumer: Consumer, *, stop: threading.Event, lane: str = "", accept_loss: bool = False, group: str = ""
    ) -> None:
        self.consumer = consumer
        self.stop = stop
        self.lane = lane
        self.accept_loss = accept_loss
        self.topics = {topic.name: topic for topic in consumer.topics if not lane or topic.priority_lane == lane}
        self.topic_uuids: dict[str, str] = {}
        self.topic_watch = positions.TopicWatch(self.topics)
        self.held: dict[Partition, int] = {}  # positioned partitions, with the next offset that we apply
        self.unpositioned: set[Partition] = set()  # assigned partitions, paused until their offset is read
        self.max_batch = consumer.max_batch
        self.group_size = GroupSize(consumer.max_batch)
        self.limit = FailureLimit()
        self.unreadable = poison.UnreadableBatches()
        self.outcomes: deque[bool] = deque(maxlen=self.limit.window)  # of the last messages, True for a failure
        self.observer = LaneObserver(consumer.name, lane)
        group_id = ".".join(filter(None, [group or consumer.name, lane]))
        config = {**settings.KAFKA_CLIENT_CONFIG, **KAFKA_CONFIG, "group.id": group_id, "on_commit": self.on_commit}
        self.kafka = KafkaConsumer(config, logger=client.client_logger)

    def run(self) -> None:
        """Poll and apply until `stop` is set, then leave the group.

        Raises TooManyDeadLetters, OffsetsLost.
        """
        self.subscribe()
        try:
            while not self.stop.is_set():
                self.step()
        finally:
            self.kafka.close()
            connection.close()
            self.observer.pulse.end()

    def subscribe(self) -> None:
        """Join the group. `poll` then calls back with the assigned partitions."""
        self.kafka.subscribe(
            list(self.topics), on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_revoke
        )

    def step(self) -> bool:
        """Make one round: position, poll, apply. Return whether a batch was applied."""
        self._reposition_recreated_topics()
        self.position()
        records = self.poll()
        self.observer.round_finished(self.kafka, self.held, positioned=not self.unpositioned)
        if not records:
            return False
        with self.observer.processing(records):
            return self.apply(records)

    # Poll: a batch of messages from Kafka

    def poll(self) -> list[Record]:
        """Return the messages that are there now, up to a batch; wait for the first one only."""
        first = self.kafka.poll(POLL_SECONDS)
        if first is None:
            return []
        records = self._with_queued(first)
        # Leave out messages fetched before a seek, and those of partitions no longer held.
        return [record for record in records if record.offset >= self.held.get(record.partition, record.offset + 1)]

    def _with_queued(self, first: KafkaMessage) -> list[Record]:
        """Return the first message and the queued ones, up to a batch's count or bytes."""
        self.unreadable.found.clear()
        records: list[Record] = []
        chunk, taken, size = [first], 0, 0
        while chunk:
            taken += len(chunk)
            size += sum(map(size_of, chunk))
            records += filter(None, map(self._record_of, chunk))
            if taken >= self.max_batch or size >= BATCH_BYTES or self.unreadable.found:
                break
            fitting = (BATCH_BYTES - size) * taken // (size + 1) + 1  # if the next ones are as large as these
            chunk = self.kafka.consume(min(CHUNK, self.max_batch - taken, fitting), 0)
        return records

    def _record_of(self, message: KafkaMessage) -> Record | None:
        """Return the record of a message or of an unreadable batch; None for any other error."""
        if self._is_good(message):
            return read(message)
        error = message.error()
        if error is None or error.code() not in poison.OF_THE_BATCH:
            return None
        return self.unreadable.record_of(message, self.held, self.kafka)

    def _is_good(self, message: KafkaMessage) -> bool:
        """Return False for a message that stands for an error of the client.

        Raises KafkaException if the error is fatal.
        """
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

    # Apply: a batch into the database

    def apply(self, records: list[Record]) -> bool:
        """Apply a batch, waiting out outages. Return False if its records must be read again.

        An error that looks like an outage is waited out and the whole batch is tried again. If that
        happens PATIENT_ATTEMPTS times in a row while all servers answer, a message is to blame (ADR
        9): the next attempt looks for the culprit.
        """
        failures = 0  # in a row, while all servers answered
        verdict = None
        for attempt in count(1):
            batch = Batch(
                consumer=self.consumer,
                records=records,
                limit=self.limit,
                group_size=self.group_size,
                patient=failures < PATIENT_ATTEMPTS,
                verdict=verdict,
            )
            try:
                offsets = batch.apply(self.held, self.topic_uuids, self.outcomes)
            except Fenced as fenced:
                logger.warning("%s: reading the offset again", fenced)
                self.observer.fenced()
                break
            except Exception as error:
                lost = batch.lost_connection
                if not (lost or may_pass(error)):
                    raise
                self.wait_out(error, attempt)
                failures = failures + 1 if _servers_answer() else 0
                if lost and failures and len(records) > 1:
                    self._halve_batches(records)
                    break
                if self.stop.is_set() or not self._holds(records):
                    break
                # A lost connection takes the savepoints with it, so no search is possible: the one
                # record that is left becomes a dead letter without another attempt.
                verdict = error if lost and failures >= PATIENT_ATTEMPTS else None
            else:
                self.committed(batch, offsets)
                # The client still stands before a batch that it cannot read.
                self._reposition({record.partition for record in records if record.unread_to is not None})
                poison.return_memory(records)
                return True
        self._reposition({record.partition for record in records})
        return False

    def _halve_batches(self, records: list[Record]) -> None:
        """Read half as many records next time; each success doubles the number again.

        The batch may have outlasted its transaction's time, or one of its messages ends the
        connection.
        """
        self.max_batch = len(records) // 2

    def _holds(self, records: list[Record]) -> bool:
        return all(record.partition in self.held for record in records)

    def wait_out(self, error: BaseException, attempt: int) -> None:
        """Back off with jitter, then use a new database connection.

        The partitions are paused and Kafka is polled meanwhile, so that the group keeps this
        member.
        """
        delay = min(LONGEST_BACKOFF, 0.1 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        logger.warning("%s: %s; again in %.1f s", self.consumer.name, describe(error), delay)
        self.observer.waiting()
        connection.close()
        paused = [TopicPartition(*partition) for partition in self.held]
        self.kafka.pause(paused)
        stray = self.kafka.poll(delay)  # an error, or a message that was fetched before the pause
        if stray is not None and self._is_good(stray):
            self._reposition([partition_of(stray)])
        self.kafka.resume([at for at in paused if (at.topic, at.partition) in self.held])

    def committed(self, batch: Batch, offsets: dict[Partition, int]) -> None:
        """Note a batch that is in the database. From here on nothing may try it again."""
        self.outcomes.extend(batch.outcomes())
        self.max_batch = min(self.consumer.max_batch, 2 * self.max_batch)
        self.held.update(offsets)
        if batch.dead:
            logger.error("%s: %d dead letters, see the admin", self.consumer.name, len(batch.dead))
        self.observer.committed(batch)
        self._commit_to_kafka(offsets)

    def _commit_to_kafka(self, offsets: dict[Partition, int]) -> None:
        """Commit the offsets to Kafka, for lag tools and autoscalers only (ADR 1)."""
        places = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        try:
            self.kafka.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            logger.warning("%s: Kafka does not take the offsets: %s", self.consumer.name, error)

    def on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """Log what Kafka refused. The database has the offsets, so nothing is lost."""
        for failure in filter(None, [error, *(at.error for at in places)]):
            logger.warning("%s: Kafka does not take an offset: %s", self.consumer.name, failure)

    # Positions: where each assigned partition continues

    def on_assign(self, kafka: KafkaConsumer, assigned: list[TopicPartition]) -> None:
        """Take the partitions and pause them until `position` has read their offsets.

        The database is not asked here: while it is down, this callback must not fail.
        """
        partitions = [(at.topic, at.partition) for at in assigned]
        kafka.incremental_assign([TopicPartition(*partition, OFFSET_BEGINNING) for partition in partitions])
        kafka.pause([TopicPartition(*partition) for partition in partitions])
        ours = [partition for partition in partitions if self._is_of_this_lane(partition)]
        self.unpositioned.update(ours)
        logger.info("%s: assigned %s", self.consumer.name, _names(ours))

    def _is_of_this_lane(self, partition: Partition) -> bool:
        topic, number = partition
        is_priority = bool(self.topics[topic].priority_lane) and number == PRIORITY_PARTITION
        return is_priority == bool(self.lane)

    def on_revoke(self, kafka: KafkaConsumer, revoked: list[TopicPartition]) -> None:
        """Give the partitions back.

        Kafka calls between batches, or while a batch waits out an outage, so no transaction is
        open. The next owner reads the offsets from the database.
        """
        partitions = [(at.topic, at.partition) for at in revoked]
        for partition in partitions:
            self.held.pop(partition, None)
            self.unpositioned.discard(partition)
        kafka.incremental_unassign(revoked)
        logger.info("%s: gave back %s", self.consumer.name, _names(partitions))

    def position(self) -> None:
        """Seek each unpositioned partition to the database's offset and resume it."""
        if not self.unpositioned:
            return
        try:
            claimed = positions.claim(self.consumer.name, self.unpositioned, accept_loss=self.accept_loss)
            if not self.outcomes:
                self.outcomes.extend(positions.failures_before(self.consumer.name, claimed, self.limit.window))
        except (DatabaseError, InterfaceError, KafkaException) as error:
            if not may_pass(error):
                raise
            self.wait_out(error, attempt=1)
            return
        self.topic_uuids.update(claimed.topic_uuids)
        for partition, offset in claimed.offsets.items():
            if self.seek(partition, offset):
                self.held[partition] = offset
                self.unpositioned.discard(partition)

    def seek(self, partition: Partition, offset: int) -> bool:
        """Seek and resume a partition.

        Returns False if librdkafka has not started the partition yet: the next round tries again.
        """
        try:
            self.kafka.seek(TopicPartition(*partition, offset))
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            return False
        self.kafka.resume([TopicPartition(*partition)])
        return True

    def _reposition_recreated_topics(self) -> None:
        recreated = self.topic_watch.recreated(self.topic_uuids)
        self._reposition([partition for partition in self.held if partition[0] in recreated])

    def _reposition(self, partitions: Iterable[Partition]) -> None:
        """Pause the held ones of these partitions until `position` has read their offsets again."""
        ours = [partition for partition in partitions if self.held.pop(partition, None) is not None]
        self.kafka.pause([TopicPartition(*partition) for partition in ours])
        self.unpositioned.update(ours)


def _servers_answer() -> bool:
    """Return whether database and Kafka answer now."""
    return database_answers() and client.answers(SERVERS_SECONDS)


def _names(partitions: Iterable[Partition]) -> str:
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(partitions)) or "nothing"
