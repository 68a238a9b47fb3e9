"""Batches from the client, whose messages become records."""

import logging
from typing import Final, cast

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage

from kafka_bridge.brokers.messages import partition_of, size_of
from kafka_bridge.consuming import poison
from kafka_bridge.consuming.partitions.held import LanePartitions
from kafka_bridge.consuming.record import Record, read

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5  # how long a round waits for a first message
CHUNK: Final = 100  # messages that are taken from the client at once
BATCH_BYTES: Final = 4_000_000  # of values; the chunk that reaches it is the last of a batch


class Intake:
    """Takes one batch after another from a lane's client. `max_batch`: messages in a batch.

    `is_full` tells of the last batch that a limit ended it, so that the client may have more.
    """

    def __init__(self, kafka: KafkaConsumer, consumer: str, partitions: LanePartitions, max_batch: int) -> None:
        self.kafka = kafka
        self.consumer = consumer
        self.partitions = partitions
        self.max_batch = max_batch
        self.is_full = False
        self._unreadable = poison.UnreadableBatches()

    def next_batch(self) -> list[Record]:
        """Return the messages that are there now, up to a batch.

        Waits for the first one only. Raises KafkaException if the client reports a fatal error.
        """
        first = self.kafka.poll(POLL_SECONDS)
        if first is None:
            return []
        records = self._with_queued(first)
        self.partitions.obstacles.is_read({record.partition[0] for record in records})
        # Leave out messages fetched before the client was assigned another offset, and those of
        # partitions no longer held.
        held = self.partitions.held
        return [record for record in records if record.offset >= held.get(record.partition, record.offset + 1)]

    def _with_queued(self, first: KafkaMessage) -> list[Record]:
        """Return the first message and the next ones, up to a batch's count or bytes."""
        self._unreadable.found.clear()
        records: list[Record] = []
        chunk, taken, size = [first], 0, 0
        while chunk:
            taken += len(chunk)
            size += sum(map(size_of, chunk))
            records += filter(None, map(self._record_of, chunk))
            if taken >= self.max_batch or size >= BATCH_BYTES or self._unreadable.found:
                break
            fitting = (BATCH_BYTES - size) * taken // (size + 1) + 1  # if the next ones are as large as these
            chunk = self.kafka.consume(min(CHUNK, self.max_batch - taken, fitting), 0)
        self.is_full = bool(chunk)
        return records

    def _record_of(self, message: KafkaMessage) -> Record | None:
        """Return the record of a message or of an unreadable batch; None for any other error."""
        if self.is_good(message):
            return read(message)
        error = message.error()
        if error is None or error.code() not in poison.OF_THE_BATCH:
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
