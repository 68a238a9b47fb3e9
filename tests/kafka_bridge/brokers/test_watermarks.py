"""Requests to the brokers while some of them are gone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from confluent_kafka import KafkaException

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.events.topics import Partition, Topic

TOPIC: Final = Topic(name="requests", partitions=6)
PARTITIONS: Final = [(TOPIC.name, number) for number in range(TOPIC.partitions)]


@pytest.mark.chaos
def test_requests_wait_idly_for_lost_brokers(cluster: Stack) -> None:
    topic_admin.create_topics([TOPIC])
    assert watermarks.end_offsets(PARTITIONS) == dict.fromkeys(PARTITIONS, 0)
    ids = topic_uuids()
    cluster.kafka.brokers[0].kill()
    wait_until(lambda: answer_of(topic_uuids) == ids, 30, what="another controller is found")
    cluster.kafka.brokers[1].kill()
    for request in (watermarks.end_offsets, watermarks.low_watermarks, offsets_now):
        with waiting_idly(), pytest.raises(KafkaException):
            request(PARTITIONS, 3.0)
    with waiting_idly():
        for _ in range(10):
            answer_of(topic_uuids)  # from the broker that is left, or an error
    for gone in cluster.kafka.brokers[:2]:
        gone.restart(wait=False)
    wait_until(lambda: answer_of(lambda: watermarks.end_offsets(PARTITIONS, 5.0)) == dict.fromkeys(PARTITIONS, 0), 90)


def topic_uuids() -> dict[str, str]:
    return topic_admin.topic_uuids([TOPIC.name])


def offsets_now(partitions: list[Partition], timeout: float) -> dict[Partition, int]:
    return watermarks.offsets_at(dict.fromkeys(partitions, time.time()), timeout)


def answer_of(request: Callable[[], Any]) -> Any:
    """Return the answer, or None for an error."""
    try:
        return request()
    except KafkaException:
        return None


@contextmanager
def waiting_idly() -> Iterator[None]:
    """Fail if the block uses more than a quarter of a core."""
    began, used = time.monotonic(), time.process_time()
    yield
    seconds, used = time.monotonic() - began, time.process_time() - used
    assert used < 0.1 + seconds / 4, f"{used:.1f} s of a core in {seconds:.1f} s: an admin client takes a whole one"
