"""Messages that must not be unpacked or decoded: a batch that the client cannot read, a huge value.

Kafka stores messages in batches, compressed as one. If a batch cannot be unpacked, the client
reports an error with the offset of the batch's first message, again and again, and the partition
does not move. After ATTEMPTS reports of the same error the whole batch becomes one dead letter,
with the range of its offsets and without content. The consumer goes on behind it.

A value larger than LARGEST_VALUE is not decoded. Its dead letter keeps the first KEPT_BYTES.
"""

import ctypes
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, cast

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka import Message as KafkaMessage

from kafka_bridge.brokers import reader
from kafka_bridge.brokers.messages import partition_of
from kafka_bridge.consuming.record import Record
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import DeadLetter

ATTEMPTS: Final = 3  # a checksum may also be wrong because of a bad transfer; librdkafka waits 0.5 s between two
M_ARENA_MAX: Final = -8  # of malloc.h
M_MMAP_THRESHOLD: Final = -3
END_SECONDS: Final = 20.0  # how long the search for the end of a batch may take

# Errors about the bytes at an offset. They name a partition, and no later attempt reads past them.
OF_THE_BATCH: Final = frozenset(
    {
        KafkaError._BAD_COMPRESSION,
        KafkaError._BAD_MSG,
        KafkaError._UNDERFLOW,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)


def limit_arenas() -> None:
    """Let malloc return large blocks when they are freed, and keep its arenas few.

    By default glibc keeps blocks of up to 32 MB, in an arena per thread. Call it when a process
    begins. With another C library it does nothing.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_ARENA_MAX, 2)
        mallopt(M_MMAP_THRESHOLD, 1_048_576)


def return_memory(records: Iterable[Record]) -> None:
    """Give what hostile messages unpacked to back to the system; malloc would keep a part of it."""
    if any(record.unread_to is not None or record.cut_from for record in records):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
        if trim:
            trim(0)


class UnreadableBatches:
    """Counts the client's errors about batches, and turns a lasting one into a record."""

    def __init__(self) -> None:
        self._reports: Counter[tuple[Partition, int]] = Counter()
        self.found: set[Partition] = set()  # with a record in the poll of this moment

    def record_of(self, message: KafkaMessage, held: Mapping[Partition, int], kafka: KafkaConsumer) -> Record | None:
        """Return the rejected record that stands for the batch; None before the last attempt.

        The error names the first offset of the batch, also if the consumer is already behind it.
        The caller must assign the partition behind it: the client would try the batch again.
        """
        at, base = partition_of(message), cast(int, message.offset())
        error = message.error()
        if error is None or at not in held or at in self.found:
            return None
        self._reports[at, base] += 1
        if self._reports[at, base] < ATTEMPTS:
            return None
        first = max(base, held[at])
        kafka.pause([TopicPartition(*at)])  # unpacking it at the same time would cost its memory twice
        end = reader.end_of_unreadable(at, base, first, seconds=END_SECONDS)
        kafka.resume([TopicPartition(*at)])
        self.found.add(at)  # the client reports on while the end is looked for
        self._reports = Counter({place: n for place, n in self._reports.items() if place[0] != at})
        detail = f"the client cannot read {end - first} messages from offset {first} to {end - 1}: {error.name()}"
        rejected = Undecodable(DeadLetter.Reason.UNDECODABLE, detail)
        return Record(message, {}, at, first, None, rejected, "", None, end)
