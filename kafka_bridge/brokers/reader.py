"""Reading single messages from Kafka, without a group, without commits, always bounded in time."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage
from django.conf import settings

from kafka_bridge import conf
from kafka_bridge.brokers import client
from kafka_bridge.brokers.messages import partition_of
from kafka_bridge.events.topics import Partition

Place = tuple[str, int, int]  # topic, partition, offset
ANSWER_BYTES: Final = 131_072  # of one answer of a broker, as stored; a larger batch is still sent, alone

GROUP: Final = f"{conf.PREFIX}-reader"

CONFIG: Final[dict[str, str | int | bool]] = {
    "group.id": GROUP,  # required by the client, never joined: partitions are assigned by hand
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 50,
    "fetch.error.backoff.ms": 20,
    "queued.max.messages.kbytes": 4_096,
    "receive.message.max.bytes": 16_000_000,  # also what a zstd batch may unpack to
    "fetch.max.bytes": ANSWER_BYTES,
    "message.max.bytes": ANSWER_BYTES,  # of a producer; librdkafka wants no more than fetch.max.bytes
    "socket.connection.setup.timeout.ms": 1_000,
}


@contextmanager
def reading(offsets: dict[Partition, int], *, fetch_bytes: int) -> Iterator[KafkaConsumer]:
    """Open a consumer that starts at these offsets."""
    config = {**settings.KAFKA_CLIENT_CONFIG, **CONFIG, "fetch.message.max.bytes": fetch_bytes}
    consumer = KafkaConsumer(config, logger=client.client_logger)
    try:
        consumer.assign([TopicPartition(*at, offset) for at, offset in offsets.items()])
        yield consumer
    finally:
        consumer.close()


def at_offsets(places: Iterable[Place], *, seconds: float) -> dict[Place, KafkaMessage]:
    """Return the first message at or after each place, of those that arrive within `seconds`."""
    waiting: dict[Partition, list[int]] = {}
    for topic, partition, offset in sorted(set(places)):
        waiting.setdefault((topic, partition), []).append(offset)
    found: dict[Place, KafkaMessage] = {}
    if not waiting:
        return found
    deadline = time.monotonic() + seconds
    with reading({at: offsets[0] for at, offsets in waiting.items()}, fetch_bytes=4_096) as consumer:
        while any(waiting.values()) and (left := deadline - time.monotonic()) > 0:
            message = _polled(consumer, left)
            if message is not None and message.error() is None:
                _take(consumer, message, waiting[partition_of(message)], found)
    return found


def end_of_unreadable(at: Partition, base: int, first: int, *, seconds: float) -> int:
    """Return the offset behind a batch that the client cannot read; `first` lies in the batch.

    Only the first offset of such a batch is known, `base`. From any offset inside of it the client
    reports `base` again, and from the first one behind it something else. So the end is found by
    doubling the step, then by halving it. When the time is up, the end of the part that is known to
    be inside is returned: the rest of the batch is met again, and passed in the same way.
    """
    deadline = time.monotonic() + seconds
    inside = first  # the last offset known to be inside
    with reading({}, fetch_bytes=ANSWER_BYTES) as consumer:
        try:
            _, outside = consumer.get_watermark_offsets(TopicPartition(*at), timeout=seconds)
        except KafkaException:
            return first + 1
        step = 1
        while outside - inside > 1:
            probe = min(inside + step, (inside + outside) // 2)
            answer = _at_offset(consumer, at, probe, deadline)
            if answer is None:
                break
            if _is_error_of(answer, base):
                inside, step = probe, 2 * step
            else:
                outside, step = probe, outside  # from here on by halves
    return inside + 1


def _at_offset(consumer: KafkaConsumer, at: Partition, offset: int, deadline: float) -> KafkaMessage | None:
    """Return the message, error or end of partition at an offset; None when the time is up."""
    consumer.assign([TopicPartition(*at, offset)])
    while (left := deadline - time.monotonic()) > 0:
        answer = _polled(consumer, left)
        if answer is not None and answer.topic() == at[0]:
            return answer
    return None


def _is_error_of(answer: KafkaMessage, base: int) -> bool:
    """Return True if the client reports again that it cannot read the batch at `base`."""
    error = answer.error()
    return error is not None and error.code() != KafkaError._PARTITION_EOF and answer.offset() == base


def _polled(consumer: KafkaConsumer, seconds: float) -> KafkaMessage | None:
    try:
        return consumer.poll(seconds)
    except KafkaException:
        return None


def _take(consumer: KafkaConsumer, message: KafkaMessage, waiting: list[int], found: dict[Place, KafkaMessage]) -> None:
    """Store the message under the place it was read for, then seek the partition's next place."""
    at, offset = partition_of(message), message.offset() or 0
    if not waiting or offset < waiting[0]:
        return  # the message was fetched before the seek
    found[(*at, waiting.pop(0))] = message
    if waiting:
        consumer.seek(TopicPartition(*at, waiting[0]))
    else:
        consumer.pause([TopicPartition(*at)])
