"""TODO."""

import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafka_bridge.brokers.client import TIMEOUT_SECONDS, _asking_consumer
from kafka_bridge.events.topics import Partition

_questions: Final = ThreadPoolExecutor(8, "watermarks")


def low_watermarks(partitions: Iterable[Partition], timeout: float = TIMEOUT_SECONDS) -> dict[Partition, int]:
    """The oldest offset that is still there, by (topic, partition). Raises KafkaException."""
    return {at: low for at, (low, _) in _watermarks(partitions, timeout).items()}


def end_offsets(partitions: Iterable[Partition], timeout: float = TIMEOUT_SECONDS) -> dict[Partition, int]:
    """The offset that the next message will have, by (topic, partition). Raises KafkaException."""
    return {at: end for at, (_, end) in _watermarks(partitions, timeout).items()}


def _watermarks(partitions: Iterable[Partition], timeout: float) -> dict[Partition, tuple[int, int]]:
    """The low and the high watermark of each, all asked at once.

    By a consumer: an admin client asks a leader that is gone again and again without a pause, and takes a whole core for it
    until the time is over (librdkafka 2.16); with no controller it then answers -1001 without an error.
    """
    asked = list(partitions)
    found = _questions.map(partial(_watermark, deadline=time.monotonic() + timeout), asked)
    return dict(zip(asked, found, strict=True))


def _watermark(at: Partition, deadline: float) -> tuple[int, int]:
    left = max(0.001, deadline - time.monotonic())
    found = _asking_consumer(os.getpid()).get_watermark_offsets(TopicPartition(*at), timeout=left)
    if found is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{at[0]}[{at[1]}] did not say where it ends"))
    return found


def offsets_at(moments: Mapping[Partition, float], timeout: float = TIMEOUT_SECONDS) -> dict[Partition, int]:
    """The first offset that was stored at or after a moment (Unix seconds), -1 where none was. Raises KafkaException."""
    asked = [TopicPartition(*at, int(1_000 * moment)) for at, moment in moments.items()]
    found = _asking_consumer(os.getpid()).offsets_for_times(asked, timeout=timeout) if asked else []
    for at in found:
        if at.error:
            raise KafkaException(at.error)
    return {(at.topic, at.partition): at.offset for at in found}
