"""Offsets of partitions: the oldest, the next, and the one of a moment.

The end is the real one (the high watermark): messages of open transactions lie below it.
"""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, cast

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafka_bridge.brokers import client
from kafka_bridge.brokers.client import Isolation
from kafka_bridge.events.topics import Partition

_threads: Final = ThreadPoolExecutor(8, "watermarks")


def low_watermarks(partitions: Iterable[Partition], timeout: float = client.TIMEOUT_SECONDS) -> dict[Partition, int]:
    """Return the oldest offset that Kafka still has, by partition. Raises KafkaException."""
    return {at: low for at, (low, _) in _watermarks(partitions, timeout).items()}


def end_offsets(partitions: Iterable[Partition], timeout: float = client.TIMEOUT_SECONDS) -> dict[Partition, int]:
    """Return the offset that the next message will have, by partition. Raises KafkaException."""
    return {at: end for at, (_, end) in _watermarks(partitions, timeout).items()}


def stable_offsets(partitions: Iterable[Partition], timeout: float = client.TIMEOUT_SECONDS) -> dict[Partition, int]:
    """Return the last stable offset by partition: where its first open transaction begins.

    Without an open transaction it is the end. Raises KafkaException.
    """
    return {at: end for at, (_, end) in _watermarks(partitions, timeout, "read_committed").items()}


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


def bounds(
    partitions: Iterable[Partition], timeout: float, isolation: Isolation = "read_uncommitted"
) -> tuple[dict[Partition, tuple[int, int]], dict[Partition, KafkaError]]:
    """Return the low and the high watermark by partition, and the partitions without an answer.

    A partition that is missing or has no leader does not hold up the others. The requests run at
    the same time.
    """
    wanted = list(partitions)
    found: dict[Partition, tuple[int, int]] = {}
    refused: dict[Partition, KafkaError] = {}
    answers = _threads.map(partial(_answer, isolation=isolation, deadline=time.monotonic() + timeout), wanted)
    for at, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, KafkaError):
            refused[at] = answer
        else:
            found[at] = answer
    return found, refused


def _watermarks(
    partitions: Iterable[Partition], timeout: float, isolation: Isolation = "read_uncommitted"
) -> dict[Partition, tuple[int, int]]:
    """Return the low and the high watermark of each partition. Raises KafkaException."""
    found, refused = bounds(partitions, timeout, isolation)
    for error in refused.values():
        raise KafkaException(error)
    return found


def _answer(at: Partition, isolation: Isolation, deadline: float) -> tuple[int, int] | KafkaError:
    """Ask for the watermarks of one partition.

    The request is sent by a consumer. An admin client retries a leader that is gone without a pause
    and takes a whole core until the timeout (librdkafka 2.16); without a controller it then returns
    -1001 and no error.
    """
    left = max(0.001, deadline - time.monotonic())
    try:
        found = client.offsets_consumer(isolation).get_watermark_offsets(TopicPartition(*at), timeout=left)
    except KafkaException as error:
        return cast(KafkaError, error.args[0])
    return found or KafkaError(KafkaError._TIMED_OUT, f"no answer about the end of {at[0]}[{at[1]}]")
