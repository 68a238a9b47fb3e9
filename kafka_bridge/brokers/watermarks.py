"""Offsets of partitions: the oldest, the next, and the one of a moment."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafka_bridge.brokers import client
from kafka_bridge.events.topics import Partition

_threads: Final = ThreadPoolExecutor(8, "watermarks")


def low_watermarks(partitions: Iterable[Partition], timeout: float = client.TIMEOUT_SECONDS) -> dict[Partition, int]:
    """Return the oldest offset that Kafka still has, by partition. Raises KafkaException."""
    return {at: low for at, (low, _) in _watermarks(partitions, timeout).items()}


def end_offsets(partitions: Iterable[Partition], timeout: float = client.TIMEOUT_SECONDS) -> dict[Partition, int]:
    """Return the offset that the next message will have, by partition. Raises KafkaException."""
    return {at: end for at, (_, end) in _watermarks(partitions, timeout).items()}


def offsets_at(moments: Mapping[Partition, float], timeout: float = client.TIMEOUT_SECONDS) -> dict[Partition, int]:
    """Return the first offset stored at or after a moment (Unix seconds), by partition.

    It is -1 if no message was stored since. Raises KafkaException.
    """
    wanted = [TopicPartition(*at, int(1_000 * moment)) for at, moment in moments.items()]
    found = client.offsets_consumer().offsets_for_times(wanted, timeout=timeout) if wanted else []
    for at in found:
        if at.error:
            raise KafkaException(at.error)
    return {(at.topic, at.partition): at.offset for at in found}


def _watermarks(partitions: Iterable[Partition], timeout: float) -> dict[Partition, tuple[int, int]]:
    """Return the low and the high watermark of each partition; the requests run at the same time.

    They are sent by a consumer. An admin client retries a leader that is gone without a pause and
    takes a whole core until the timeout (librdkafka 2.16); without a controller it then returns
    -1001 and no error.
    """
    wanted = list(partitions)
    found = _threads.map(partial(_watermark, deadline=time.monotonic() + timeout), wanted)
    return dict(zip(wanted, found, strict=True))


def _watermark(at: Partition, deadline: float) -> tuple[int, int]:
    left = max(0.001, deadline - time.monotonic())
    found = client.offsets_consumer().get_watermark_offsets(TopicPartition(*at), timeout=left)
    if found is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer about the end of {at[0]}[{at[1]}]"))
    return found
