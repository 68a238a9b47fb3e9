"""What the group gives and takes, while the offsets of some partitions are not read yet."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from django.conf import settings

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.consuming.partitions.held import LanePartitions
from kafka_bridge.consuming.runner import KAFKA_CONFIG
from tests.support.sandbox import SECONDS, Sandbox

PARTITIONS = 2


@contextmanager
def member(sandbox: Sandbox, group: str) -> Iterator[LanePartitions]:
    """Join a group with a client like the runner's, which claims no offset by itself."""
    kafka = KafkaConsumer(
        {**settings.KAFKA_CLIENT_CONFIG, **KAFKA_CONFIG, "group.id": group}, logger=client.client_logger
    )
    topics = {sandbox.topic.name: sandbox.topic}
    partitions = LanePartitions(kafka, sandbox.consumer.name, topics, group="g", priority=False, accept_loss=False)
    kafka.subscribe(
        list(topics), on_assign=partitions.on_assign, on_revoke=partitions.on_revoke, on_lost=partitions.on_revoke
    )
    yield partitions
    kafka.close()


@pytest.mark.slow
@pytest.mark.parametrize("read", range(PARTITIONS))  # Kafka chooses the one that moves: in one case it is the other one
def test_partition_moves_on_before_its_offset_is_read(sandbox: Sandbox, read: int) -> None:
    group, topic = f"test-{uuid4()}", sandbox.topic.name
    assert sandbox.topic.partitions == PARTITIONS
    with member(sandbox, group) as first:

        def shares() -> list[int]:
            first.kafka.poll(0.1)
            return sorted(number for _, number in first.unpositioned | first.held.keys())

        wait_until(lambda: shares() == [*range(PARTITIONS)], SECONDS)
        first.assign_at((topic, read), 0)
        with member(sandbox, group) as second:

            def is_shared() -> bool:
                second.kafka.poll(0.1)
                return len(shares()) == len(second.unpositioned) == 1

            wait_until(is_shared, SECONDS)
