"""Batches from the client: messages are gathered and decoded, the next batch ahead of its turn.

While a backlog is read, a thread decodes the next batch during the transaction of this one (ADR
33). What was taken ahead is not looked at before its turn: an end or an error that lies behind
unapplied messages must not move an offset.
"""

import logging
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, cast

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage

from kafka_bridge.brokers.messages import partition_of, size_of
from kafka_bridge.consuming import poison
from kafka_bridge.consuming.partitions.held import LanePartitions
from kafka_bridge.consuming.record import Record, read
from kafka_bridge.events.topics import Partition

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5  # how long a round waits for a first message
# From one batch to the next, unless that is full. A batch costs as much as many messages (ADR 32).
GATHER_SECONDS: Final = 0.07
CHUNK: Final = 100  # messages that are taken from the client at once
BATCH_BYTES: Final = 4_000_000  # of values; the chunk that reaches it is the last of a batch


@dataclass(frozen=True)
class _Taken:
    """Messages and the client's reports among them, in their order.

    `assignments`: how often each partition had been assigned by then. A message counts only while
    its partition is not assigned again, because the client then delivers it again.
    """

    messages: list[KafkaMessage]
    assignments: dict[Partition, int]
    records: Future[list[Record | None]]  # of each message; None for a report


class Intake:
    """Takes one batch after another from a lane's client. `max_batch`: messages in a batch."""

    def __init__(self, kafka: KafkaConsumer, consumer: str, partitions: LanePartitions, max_batch: int) -> None:
        self.kafka = kafka
        self.consumer = consumer
        self.partitions = partitions
        self.max_batch = max_batch
        self._unreadable = poison.UnreadableBatches()
        self._gather_until = 0.0  # monotonic seconds: until then, a batch waits for more messages
        self._ahead: _Taken | None = None
        self._decoder = ThreadPoolExecutor(1, "decoder")

    def close(self) -> None:
        """End the decoding thread. What was taken ahead is read again by the next owner."""
        self._decoder.shutdown()

    def next_batch(self) -> list[Record]:
        """Return the messages that are there now, up to a batch.

        Waits for the first one and, shortly after another batch, for those that follow it. Raises
        KafkaException if the client reports a fatal error.
        """
        taken, self._ahead = self._ahead or self._take(POLL_SECONDS), None
        if taken is None:
            return []
        records = list(self._records_of(taken))
        self.partitions.obstacles.is_read({record.partition[0] for record in records})
        if len(taken.messages) >= self.max_batch:
            self._ahead = self._take(0, ahead=True)
        # After the last call of the client, which may have given partitions back: leave out their
        # messages, and those fetched before the client was assigned another offset.
        held = self.partitions.held
        return [record for record in records if record.offset >= held.get(record.partition, record.offset + 1)]

    def _take(self, seconds: float, *, ahead: bool = False) -> _Taken | None:
        """Take messages from the client; None if none comes in time."""
        first = self.kafka.poll(seconds)
        if first is None:
            return None
        messages = self._with_queued(first)
        self._gather_until = time.monotonic() + GATHER_SECONDS
        if ahead:
            records = self._decoder.submit(_decoded, messages)
        else:
            records = Future()
            records.set_result(_decoded(messages))
        return _Taken(messages, self.partitions.assignments.copy(), records)

    def _with_queued(self, first: KafkaMessage) -> list[KafkaMessage]:
        """Return the first message and the next ones, up to a batch's size, or to an error."""
        messages: list[KafkaMessage] = []
        chunk, size = [first], 0
        while chunk:
            messages += chunk
            size += sum(map(size_of, chunk))
            if len(messages) >= self.max_batch or size >= BATCH_BYTES or any(map(_is_of_a_batch, chunk)):
                break
            fitting = (BATCH_BYTES - size) * len(messages) // (size + 1) + 1  # if the next ones are as large as these
            patience = max(0.0, self._gather_until - time.monotonic())
            chunk = self.kafka.consume(min(CHUNK, self.max_batch - len(messages), fitting), patience)
        return messages

    def _records_of(self, taken: _Taken) -> Iterable[Record]:
        """Yield the records of messages that still count, and act on the reports among them."""
        self._unreadable.found.clear()
        for message, record in zip(taken.messages, taken.records.result(), strict=True):
            if message.topic() is not None:
                at = partition_of(message)
                if self.partitions.assignments.get(at) != taken.assignments.get(at):
                    continue
            if due := record or self._report(message):
                yield due

    def _report(self, message: KafkaMessage) -> Record | None:
        """Act on a report of the client; return the record of a batch that it cannot read."""
        if self.is_good(message) or not _is_of_a_batch(message):
            return None
        return self._unreadable.record_of(message, self.partitions.held, self.kafka)

    def is_good(self, message: KafkaMessage) -> bool:
        """Return True for a real message, and False for a report of the client, which is acted on.

        Raises KafkaException if the client reports a fatal error.
        """
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            self.partitions.note_end(partition_of(message), cast(int, message.offset()))
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self.partitions.position_again([partition_of(message)])
        elif error.fatal():
            raise KafkaException(error)
        else:
            logger.warning("%s: %s", self.consumer, error)
            self.partitions.obstacles.refused(message.topic() or "", error)
        return False


def _decoded(messages: list[KafkaMessage]) -> list[Record | None]:
    return [read(message) if message.error() is None else None for message in messages]


def _is_of_a_batch(message: KafkaMessage) -> bool:
    """Return whether the message is an error about a batch that the client cannot read."""
    error = message.error()
    return error is not None and error.code() in poison.OF_THE_BATCH
