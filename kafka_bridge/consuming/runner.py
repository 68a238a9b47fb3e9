"""The loop of a consumer: poll, decode, one database transaction per batch, then Kafka's offset.

Each lane has one process (lanes.py) and one Kafka consumer. If a topic has a priority lane, each
lane subscribes with a group of its own and does not fetch the other lane's partitions, so that
neither lane waits for the other (ADR 3).

A partition that the group gives to this member is `unpositioned` until its offset is read from the
database. Only then is it assigned to the client, at that offset, and `held`. There is no other way
to set a position: `seek` fails without end once librdkafka has reported a lost offset.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Final, cast

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition
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
from kafka_bridge.consuming.obstacles import Obstacles
from kafka_bridge.consuming.record import Record, read
from kafka_bridge.errors import database_answers, describe
from kafka_bridge.events.topics import PRIORITY_PARTITION, Partition
from kafka_bridge.exceptions import Fenced

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5  # how long a round waits for a first message
CHUNK: Final = 100  # messages that are taken from the client at once
BATCH_BYTES: Final = 4_000_000  # of values; the chunk that reaches it is the last of a batch
FETCH_BYTES: Final = 65_536  # of one answer of a broker, as stored; a larger batch is still sent, alone
PATIENT_ATTEMPTS: Final = 5  # how often a batch is tried as a whole when the error may pass
SERVERS_SECONDS: Final = 2.0  # how long Kafka may take to answer
LONGEST_BACKOFF: Final = 10.0  # seconds
POSITION_AGAIN_SECONDS: Final = 3.0  # between two looks at partitions that Kafka refused

KAFKA_CONFIG: Final[dict[str, str | int | bool]] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.commit": False,
    # An end is reported, too: then the position has passed the markers of transactions.
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # a message that Kafka no longer has is an error, not skipped (positions.py)
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 2_000,
    "max.poll.interval.ms": 60_000,
    "fetch.wait.max.ms": 100,
    "socket.timeout.ms": client.SILENCE_MS,
    "socket.connection.setup.timeout.ms": 5_000,
    "reconnect.backoff.max.ms": 2_000,
    "socket.keepalive.enable": True,
    "queued.max.messages.kbytes": 16_384,  # limits memory, however long the backlog is
    "fetch.queue.backoff.ms": 10,
    "topic.metadata.refresh.interval.ms": 10_000,  # how soon new partitions and topics are found
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
        self.unpositioned: set[Partition] = set()  # of this member, not fetched until their offset is read
        self.position_again_at = 0.0  # monotonic seconds: until then, refused partitions are not tried again
        self.reached: dict[Partition, int] = {}  # ends that the client reported; no message lies before them
        self.obstacles = Obstacles()
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
        self._look_at_the_topics()
        self.position()
        records = self.poll()
        self.observer.round_finished(self.kafka, self.held, self._hindrances())
        if records:
            with self.observer.processing(records):
                return self.apply(records)
        if self._passed_markers():
            self.apply([])
        return False

    def _hindrances(self) -> list[str]:
        """Return why this lane cannot do all of its work, for /health/ready; empty if it can."""
        waiting = [f"the offset of {_names(self.unpositioned)} is not read yet"] if self.unpositioned else []
        return [*self.obstacles.texts(), *waiting]

    def _passed_markers(self) -> dict[Partition, int]:
        """Return the reported ends that lie after the next offset of a held partition.

        In between are offsets without a message for us: the markers of transactions, and messages
        of aborted ones.
        """
        return {at: end for at, end in self.reached.items() if end > self.held.get(at, end)}

    # Poll: a batch of messages from Kafka

    def poll(self) -> list[Record]:
        """Return the messages that are there now, up to a batch; wait for the first one only."""
        first = self.kafka.poll(POLL_SECONDS)
        if first is None:
            return []
        records = self._with_queued(first)
        self.obstacles.is_read({record.partition[0] for record in records})
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
        """Return False for a message that stands for an event of the client.

        Raises KafkaException if it is a fatal error.
        """
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            self._note_end(partition_of(message), cast(int, message.offset()))
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._reposition([partition_of(message)])
        elif error.fatal():
            raise KafkaException(error)
        else:
            logger.warning("%s: %s", self.consumer.name, error)
            self.obstacles.refused(message.topic() or "", error)
        return False

    def _note_end(self, at: Partition, end: int) -> None:
        self.obstacles.is_read({at[0]})
        if at in self.held:
            self.reached[at] = end

    # Apply: a batch into the database

    def apply(self, records: list[Record]) -> bool:
        """Apply a batch, waiting out outages. Return False if its records must be read again.

        Partitions whose end is reached move past the markers of transactions in the same
        transaction; without records, that is all.

        An error that looks like an outage is waited out and the whole batch is tried again. If that
        happens PATIENT_ATTEMPTS times in a row while all servers answer, a message is to blame (ADR
        9): the next attempt looks for the culprit.
        """
        reached, self.reached = self._passed_markers(), {}
        failures = 0  # in a row, while all servers answered
        verdict = None
        for attempt in count(1):
            batch = Batch(
                consumer=self.consumer,
                records=records,
                reached=reached,
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
                if self.stop.is_set() or not self._holds(batch.partitions):
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
        self._reposition({record.partition for record in records} | reached.keys())
        return False

    def _halve_batches(self, records: list[Record]) -> None:
        """Read half as many records next time; each success doubles the number again.

        The batch may have outlasted its transaction's time, or one of its messages ends the
        connection.
        """
        self.max_batch = len(records) // 2

    def _holds(self, partitions: Iterable[Partition]) -> bool:
        return all(partition in self.held for partition in partitions)

    def wait_out(self, error: BaseException, attempt: int) -> None:
        """Back off with jitter, then use a new database connection.

        The partitions are paused and Kafka is polled meanwhile, so that the group keeps this
        member.
        """
        delay = min(LONGEST_BACKOFF, 0.1 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        logger.warning("%s: %s; again in %.1f s", self.consumer.name, describe(error), delay)
        self.observer.waiting(describe(error))
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
        """Take the partitions; `position` assigns them to the client once it has their offsets.

        The database is not asked here: while it is down, this callback must not fail.
        """
        kafka.incremental_assign([])  # else the client would assign them itself, at Kafka's offsets
        ours = [at for at in map(_partition, assigned) if self._is_of_this_lane(at)]
        self.unpositioned.update(ours)
        self.position_again_at = 0.0
        self.obstacles.joined()
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
        partitions = list(map(_partition, revoked))
        self._release(partitions)
        self.unpositioned.difference_update(partitions)
        logger.info("%s: gave back %s", self.consumer.name, _names(partitions))

    def position(self) -> None:
        """Read the offset of each unpositioned partition and assign it to the client there.

        A partition of which Kafka does not tell the ends (it is missing, it has no leader, or there
        are no rights to it) is tried again later and holds up no other.
        """
        if not self.unpositioned or time.monotonic() < self.position_again_at:
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
        self._release_recreated(claimed.topic_uuids)
        self.topic_uuids.update(claimed.topic_uuids)
        for partition, offset in claimed.offsets.items():
            self.assign_at(partition, offset)
        self._try_again_later(claimed.refused)

    def assign_at(self, partition: Partition, offset: int) -> None:
        """Fetch a partition that is not assigned to the client from this offset on.

        Messages that were fetched before it was released are dropped by the client.
        """
        self.kafka.incremental_assign([TopicPartition(*partition, offset)])
        self.held[partition] = offset
        self.unpositioned.discard(partition)

    def _try_again_later(self, refused: dict[Partition, KafkaError]) -> None:
        for (topic, number), error in refused.items():
            logger.warning("%s: %s[%d] cannot be read: %s", self.consumer.name, topic, number, error.str())
            self.obstacles.refused(topic, error, number)
        self.position_again_at = time.monotonic() + POSITION_AGAIN_SECONDS if refused else 0.0

    def _look_at_the_topics(self) -> None:
        """Begin again in topics that were recreated, and note those that cannot be read."""
        seen = self.topic_watch.news()
        self._release_recreated(seen.uuids)
        for name, error in seen.refused.items():
            self.obstacles.refused(name, error)
        self.obstacles.is_described(seen.uuids.keys() - {topic for topic, _ in self.held})

    def _release_recreated(self, uuids: dict[str, str]) -> None:
        """Begin again in all held partitions of topics that have another id now.

        The client reports an error only where the new topic is shorter than the old offset.
        """
        recreated = {name for name, uuid in uuids.items() if uuid != self.topic_uuids.get(name, uuid)}
        self._reposition([partition for partition in self.held if partition[0] in recreated])

    def _reposition(self, partitions: Iterable[Partition]) -> None:
        """Fetch the held ones of these partitions no more until their offsets are read again."""
        self.unpositioned.update(self._release(partitions))

    def _release(self, partitions: Iterable[Partition]) -> list[Partition]:
        """Take the held ones of these partitions from the client, and return them.

        A partition that is paused (`wait_out`) is resumed first: the client would remember the
        pause, and never fetch the partition again when this member gets it back.
        """
        ours = [partition for partition in partitions if self.held.pop(partition, None) is not None]
        for partition in ours:
            self.reached.pop(partition, None)
        places = [TopicPartition(*partition) for partition in ours]
        self.kafka.resume(places)
        self.kafka.incremental_unassign(places)
        return ours


def _servers_answer() -> bool:
    """Return whether database and Kafka answer now."""
    return database_answers() and client.answers(SERVERS_SECONDS)


def _partition(at: TopicPartition) -> Partition:
    return at.topic, at.partition


def _names(partitions: Iterable[Partition]) -> str:
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(partitions)) or "nothing"
