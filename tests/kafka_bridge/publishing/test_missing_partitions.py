"""Partitions that are missing hold up no other, and are used once they exist."""

from collections.abc import Callable

import pytest

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import outbox, producer, relay
from tests.support.consumers import running
from tests.support.sandbox import SECONDS, Sandbox

# How soon producers and consumers must find new partitions.
FOUND_SECONDS = 30.0


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process a new producer, with the deadline of production."""
    monkeypatch.setattr(producer, "DEADLINE_MS", 3_000)
    monkeypatch.setattr(producer, "holder", producer.ProducerHolder())


@pytest.mark.slow
@pytest.mark.usefixtures("short_deadline", "table")
@pytest.mark.parametrize("on_brokers", [0, 2])
def test_missing_partitions_hold_up_no_other(make_sandbox: Callable[..., Sandbox], on_brokers: int) -> None:
    """Without any partition, the whole topic is missing."""
    bad, good = make_sandbox(partitions=6, on_brokers=on_brokers), make_sandbox()
    outbox.add(*[bad.happened(n) for n in range(60)])
    outbox.add(*[good.happened(n) for n in range(60)])
    with running(relay.run), good.running():
        wait_until(lambda: len(good.rows()) >= 60, SECONDS)
        left = OutboxMessage.objects.filter(topic=good.topic.name)
        for n in range(60, 70):  # while the relay meets the missing partitions
            outbox.add(good.happened(n))
            wait_until(lambda: not left.exists(), 5)


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
