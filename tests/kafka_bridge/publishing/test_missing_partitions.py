"""Partitions that are missing hold up no other, and are used once they exist."""

from collections.abc import Callable, Collection
from itertools import count, islice
from zlib import crc32

import pytest

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import outbox, relay
from tests.support.consumers import running
from tests.support.sandbox import SECONDS, Sandbox

# How soon producers and consumers must find new partitions.
FOUND_SECONDS = 30.0
KEYS = 30
LAST_SHARD = outbox.SHARDS - 1


@pytest.mark.slow
@pytest.mark.usefixtures("short_deadline", "table")
@pytest.mark.parametrize("on_brokers", [0, 2])
def test_missing_partitions_hold_up_no_other(make_sandbox: Callable[..., Sandbox], on_brokers: int) -> None:
    """Without any partition, the whole topic is missing."""
    bad, good = make_sandbox(partitions=6, on_brokers=on_brokers), make_sandbox()
    outbox.add(*[bad.happened(0, key) for key in _keys(bad, from_partition=on_brokers)])  # the oldest: tried first
    outbox.add(*[good.happened(n, key) for n, key in enumerate(_keys(good, shards={LAST_SHARD}))])
    with running(relay.run), good.running():
        wait_until(lambda: len(good.rows()) == KEYS, SECONDS)
        left = OutboxMessage.objects.filter(topic=good.topic.name)
        for key in _keys(good, shards={LAST_SHARD}):  # while the relay meets the missing partitions
            outbox.add(good.happened(100, key))
            wait_until(lambda: not left.exists(), FOUND_SECONDS)


def _keys(sandbox: Sandbox, *, from_partition: int = 0, shards: Collection[int] = range(LAST_SHARD)) -> list[str]:
    """Return keys of these partitions and shards: the relay sends each shard by itself."""
    keys = (
        key
        for key in map(str, count())
        if sandbox.topic.partition_for(key, priority=False) >= from_partition
        and crc32(key.encode()) % outbox.SHARDS in shards
    )
    return list(islice(keys, KEYS))


@pytest.mark.slow
@pytest.mark.usefixtures("short_deadline", "table")
def test_new_partitions_are_found(make_sandbox: Callable[..., Sandbox]) -> None:
    """A running consumer, the relay and the producer find them without a restart."""
    sandbox = make_sandbox(partitions=6, on_brokers=2)
    with running(relay.run), sandbox.running():
        for n in range(30):  # as requests do, one by one
            sandbox.publish(n)
        numbers = [n for n in range(30) if sandbox.topic.partition_for(str(n), priority=False) < 2]
        wait_until(lambda: len(sandbox.rows()) == len(numbers), SECONDS)
        assert sorted(sandbox.rows()) == numbers
        topic_admin.add_partitions([sandbox.topic])
        wait_until(lambda: len(sandbox.rows()) == 30, FOUND_SECONDS)
        wait_until(lambda: _is_direct(sandbox), FOUND_SECONDS)
    assert sorted({*sandbox.rows()} & {*range(30)}) == list(range(30))


def _is_direct(sandbox: Sandbox) -> bool:
    """Publish to all partitions; return True if none of the events went to the outbox."""
    before = OutboxMessage.objects.count()
    sandbox.publish(*range(100, 120))
    return OutboxMessage.objects.count() == before == 0
