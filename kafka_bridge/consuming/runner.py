"""The loop of a consumer: poll, decode, one database transaction per batch, then Kafka's offset.

Each lane has one process (lanes.py) and one Kafka consumer. If a topic has a priority lane, each
lane subscribes with a group of its own and does not fetch the other lane's partitions, so that
neither lane waits for the other (ADR 3).
"""

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Final

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaException, TopicPartition
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from kafka_bridge.brokers import certificate, client, trouble
from kafka_bridge.brokers.messages import partition_of
from kafka_bridge.consuming import poison
from kafka_bridge.consuming.batch import Batch
from kafka_bridge.consuming.culprits.attempt import may_pass
from kafka_bridge.consuming.culprits.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.handlers import Consumer, Gathers, group_id
from kafka_bridge.consuming.intake import Intake
from kafka_bridge.consuming.observer import LaneObserver
from kafka_bridge.consuming.partitions import positions
from kafka_bridge.consuming.partitions.commits import KafkaCommits
from kafka_bridge.consuming.partitions.held import LanePartitions
from kafka_bridge.consuming.record import Record
from kafka_bridge.diagnosis import database_answers, describe
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Fenced

logger = logging.getLogger(__name__)

_jitter: Final = secrets.SystemRandom()

FETCH_BYTES: Final = 65_536  # of one answer of a broker, as stored; a larger batch is still sent, alone
PATIENT_ATTEMPTS: Final = 5  # how often a batch is tried as a whole when the error may pass
SERVERS_SECONDS: Final = 2.0  # how long Kafka may take to answer
LONGEST_BACKOFF: Final = 10.0  # seconds

# How long the broker may wait for more messages before it answers a consumer that gathers (ADR 32).
GATHER_MS: Final = 70
GATHER_BYTES: Final = 500_000  # the broker waits for no more than these
PAUSE_MS: Final = 35  # from one batch to the next of a consumer that gathers when it is busy (ADR 55)
KAFKA_CONFIG: Final[dict[str, str | int | bool]] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.commit": False,
    # An end is reported, too: then the position has passed the markers of transactions.
    "enable.partition.eof": True,
    # A message that Kafka no longer has is an error, and not skipped (partitions/positions.py).
    "auto.offset.reset": "error",
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 2_000,
    "max.poll.interval.ms": 60_000,
    # The first message ends the wait. An answer without messages is only work for the broker.
    "fetch.wait.max.ms": 500,
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

    process = ""  # the name of a process beside the lane's own, in metrics and log lines (helper.py)

    def __init__(
        self, consumer: Consumer, *, stop: threading.Event, lane: str = "", accept_loss: bool = False, group: str = ""
    ) -> None:
        self.consumer = consumer
        self.stop = stop
        self.lane = lane
        self.gathers = Gathers.NEVER if lane else consumer.gathers
        self.topics = {topic.name: topic for topic in consumer.topics if not lane or topic.priority_lane == lane}
        self.group_size = GroupSize(consumer.max_batch)
        self.limit = FailureLimit()
        self.outcomes: deque[bool] = deque(maxlen=self.limit.window)  # of the last messages, True for a failure
        self.observer = LaneObserver(consumer.name, lane or self.process)
        self.commits = KafkaCommits(consumer.name)
        self.group_id = group_id(group or consumer.name, lane)
        self.kafka = self._new_client()
        self.partitions = LanePartitions(
            self.kafka, consumer.name, self.topics, group=self.group_id, priority=bool(lane), accept_loss=accept_loss
        )
        self.intake = Intake(self.kafka, consumer.name, self.partitions, consumer.max_batch)
        self._next_batch_at = 0.0  # monotonic seconds: until then, messages gather in the client

    def _new_client(self) -> KafkaConsumer:
        reports = {"on_commit": self.commits.on_commit, "error_cb": trouble.note}
        gathering = {"fetch.wait.max.ms": GATHER_MS, "fetch.min.bytes": GATHER_BYTES}
        config = {**settings.KAFKA_CLIENT_CONFIG, **KAFKA_CONFIG, "group.id": self.group_id, **reports}
        config |= gathering if self.gathers is Gathers.ALWAYS else {}
        self.certificate = certificate.version()
        return KafkaConsumer(config, logger=client.client_logger)

    def run(self) -> None:
        """Poll and apply until `stop` is set, then leave the group.

        Raises TooManyDeadLetters, OffsetsLost.
        """
        self.subscribe()
        try:
            while not self.is_over():
                self.step()
        finally:
            self.kafka.close()
            connection.close()
            self.observer.end()

    def is_over(self) -> bool:
        """Return whether to leave the group after this round."""
        return self.stop.is_set()

    def subscribe(self) -> None:
        """Join the group. `poll` then calls back with the assigned partitions."""
        self.kafka.subscribe(
            list(self.topics),
            on_assign=self.partitions.on_assign,
            on_revoke=self.on_revoke,
            on_lost=self.on_lost,
        )

    def join_again(self, why: str) -> None:
        """Leave the group, and join it with a new client (ADR 43, ADR 48)."""
        logger.warning("%s: %s: joining with a new client", self.consumer.name, why)
        self.kafka.close()
        self.kafka = self.intake.kafka = self._new_client()
        self.partitions.use(self.kafka)
        self.subscribe()

    def on_revoke(self, kafka: KafkaConsumer, revoked: list[TopicPartition]) -> None:
        """Give the partitions back, with the offsets that Kafka does not have yet."""
        self.commits.send(kafka, self.partitions.held)
        self.partitions.on_revoke(kafka, revoked)

    def on_lost(self, kafka: KafkaConsumer, lost: list[TopicPartition]) -> None:
        """Give up partitions that others have already: Kafka would refuse a commit."""
        self.partitions.on_revoke(kafka, lost)

    def step(self) -> bool:
        """Make one round: position, poll, apply. Return whether a batch was applied."""
        self.partitions.look_at_topics()
        self.partitions.look_at_offsets()
        self.position()
        if self.partitions.client_is_outdated:
            self.join_again("a topic was recreated")
        elif trouble.sentence() and certificate.is_renewed(self.certificate):
            self.join_again("the certificate was renewed")
        records = self.poll()
        self.tell_kafka()
        self.observer.round_finished(self.kafka, self.partitions.held, self.partitions.hindrances())
        if records:
            with self.observer.processing(records):
                return self.apply(records)
        if self.partitions.passed_markers():
            self.apply([])
        return False

    def tell_kafka(self) -> None:
        """Tell Kafka the offsets, if it is time."""
        self.commits.send_if_due(self.kafka, self.partitions.held)

    def position(self) -> None:
        """Fetch the partitions that are new to this member; if a server is down, wait."""
        try:
            claimed = self.partitions.claim()
            if claimed and not self.outcomes:
                self.outcomes.extend(positions.failures_before(self.consumer.name, claimed, self.limit.window))
        except (DatabaseError, InterfaceError, KafkaException) as error:
            if not may_pass(error):
                raise
            self.wait_out(error, attempt=1)
            return
        if claimed:
            self.partitions.assign(claimed)

    def poll(self) -> list[Record]:
        """Return the next batch of records; empty if none comes within half a second.

        A consumer that gathers when it is busy first waits until PAUSE_MS have passed since the
        last batch, unless that was full.
        """
        self.stop.wait(max(0.0, self._next_batch_at - time.monotonic()))
        records = self.intake.next_batch()
        if self.gathers is Gathers.WHEN_BUSY and records and not self.intake.is_full:
            self._next_batch_at = time.monotonic() + PAUSE_MS / 1_000
        return records

    # Apply: a batch into the database

    def apply(self, records: list[Record]) -> bool:
        """Apply a batch, waiting out outages. Return False if its records must be read again.

        Partitions whose end is reached move past the markers of transactions in the same
        transaction; without records, that is all.
        """
        reached = self.partitions.take_passed_markers()
        if self._apply_patiently(records, reached):
            # The client still stands before a batch that it cannot read.
            self.partitions.position_again({record.partition for record in records if record.unread_to is not None})
            poison.return_memory(records)
            return True
        self.partitions.position_again({record.partition for record in records} | reached.keys())
        return False

    def _apply_patiently(self, records: list[Record], reached: dict[Partition, int]) -> bool:
        """Try the batch until it is in the database; return False if it must be read again.

        An error that looks like an outage is waited out and the whole batch is tried again. If that
        happens PATIENT_ATTEMPTS times in a row while all servers answer, a message is to blame (ADR
        9): the next attempt looks for the culprit.
        """
        attempts = 0
        unexplained = 0  # failures in a row while all servers answered
        verdict = None
        while True:
            batch = Batch(
                consumer=self.consumer,
                records=records,
                reached=reached,
                limit=self.limit,
                group_size=self.group_size,
                patient=unexplained < PATIENT_ATTEMPTS,
                verdict=verdict,
            )
            error = self._try(batch)
            if error is None:
                return True
            if isinstance(error, Fenced):
                return False
            attempts += 1
            self.wait_out(error, attempts)
            unexplained = unexplained + 1 if _servers_answer() else 0
            if batch.lost_connection and unexplained and len(records) > 1:
                self._halve_batches(records)
                return False
            if self.stop.is_set() or not self._holds(batch.partitions):
                return False
            # A lost connection takes the savepoints with it, so no search is possible: the one
            # record that is left becomes a dead letter without another attempt.
            verdict = error if batch.lost_connection and unexplained >= PATIENT_ATTEMPTS else None

    def _try(self, batch: Batch) -> Exception | None:
        """Apply the batch once. Return None if it is in the database, else Fenced or an outage.

        Raises every other error.
        """
        try:
            offsets = batch.apply(self.partitions.held, self.partitions.topic_uuids, self.outcomes)
        except Fenced as fenced:
            logger.warning("%s: reading the offset again", fenced)
            self.observer.fenced()
            return fenced
        except Exception as error:
            if not (batch.lost_connection or may_pass(error)):
                raise
            return error
        self.committed(batch, offsets)
        return None

    def _halve_batches(self, records: list[Record]) -> None:
        """Read half as many records next time; each success doubles the number again.

        The batch may have outlasted its transaction's time, or one of its messages ends the
        connection.
        """
        self.intake.max_batch = len(records) // 2

    def _holds(self, partitions: Iterable[Partition]) -> bool:
        return all(partition in self.partitions.held for partition in partitions)

    def wait_out(self, error: BaseException, attempt: int) -> None:
        """Back off with jitter, then use a new database connection.

        The partitions are paused and Kafka is polled meanwhile, so that the group keeps this
        member.
        """
        delay = min(LONGEST_BACKOFF, 0.1 * 2**attempt) * _jitter.uniform(0.5, 1.0)
        logger.warning("%s: %s; again in %.1f s", self.consumer.name, describe(error), delay)
        self.observer.waiting(describe(error))
        connection.close()
        paused = [TopicPartition(*partition) for partition in self.partitions.held]
        self.kafka.pause(paused)
        stray = self.kafka.poll(delay)  # an error, or a message that was fetched before the pause
        if stray is not None and self.intake.is_good(stray):
            self.partitions.position_again([partition_of(stray)])
        self.kafka.resume([at for at in paused if (at.topic, at.partition) in self.partitions.held])

    def committed(self, batch: Batch, offsets: dict[Partition, int]) -> None:
        """Note a batch that is in the database. From here on nothing may try it again."""
        self.outcomes.extend(batch.outcomes())
        self.intake.max_batch = min(self.consumer.max_batch, 2 * self.intake.max_batch)
        self.partitions.held.update(offsets)
        if batch.dead:
            logger.error("%s: %d dead letters, see the admin", self.consumer.name, len(batch.dead))
        self.observer.committed(batch)


def _servers_answer() -> bool:
    """Return whether database and Kafka answer now."""
    return database_answers() and client.answers(SERVERS_SECONDS)
