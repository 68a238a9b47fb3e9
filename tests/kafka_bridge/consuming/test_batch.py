"""A batch is applied only at the offset that its records begin at."""

from typing import Any

import pytest
from django.db import transaction
from django.db.transaction import TransactionManagementError

from kafka_bridge.consuming.batch import Batch
from kafka_bridge.consuming.culprits.attempt import attempt
from kafka_bridge.consuming.culprits.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.record import Record
from kafka_bridge.exceptions import Fenced
from kafka_bridge.models import ConsumerOffset, DeadLetter
from tests.support.sandbox import Sandbox


def batch_of(sandbox: Sandbox, records: list[Record]) -> Batch:
    return Batch(
        consumer=sandbox.consumer,
        records=records,
        limit=FailureLimit(),
        group_size=GroupSize(len(records)),
        patient=True,
    )


def test_a_redelivered_batch_is_fenced(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    runner = sandbox.runner()
    records = sandbox.poll(runner)
    held = dict(runner.partitions.held)
    assert runner.apply(records)
    with pytest.raises(Fenced):
        batch_of(sandbox, records).apply(held, runner.partitions.topic_uuids, [])
    assert sorted(sandbox.rows()) == [1, 2, 3]
    runner.kafka.close()


def test_an_offset_only_moves_forward(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    runner = sandbox.runner()
    records = sandbox.poll(runner)
    assert runner.apply(records)
    with pytest.raises(Fenced):  # the held offset is already the one after the batch
        batch_of(sandbox, records).apply(runner.partitions.held, runner.partitions.topic_uuids, [])
    assert sandbox.rows() == [1, 2, 3]
    runner.kafka.close()


def test_a_batch_opens_its_own_transaction(sandbox: Sandbox) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        batch_of(sandbox, []).apply({}, {}, [])


def test_handlers_need_a_transaction(sandbox: Sandbox) -> None:
    failure = attempt(sandbox.consumer, [], patient=True)
    assert failure is not None
    assert isinstance(failure.error, TransactionManagementError)


def test_a_batch_of_an_earlier_topic_is_fenced(sandbox: Sandbox) -> None:
    """Another member may have come as far in the new topic of that name."""
    sandbox.publish(1, 2, 3, key="one")
    runner = sandbox.runner()
    records = sandbox.poll(runner)
    ConsumerOffset.objects.filter(consumer=sandbox.consumer.name).update(topic_uuid="the new topic's")
    with pytest.raises(Fenced, match="is no longer at 0 of that topic"):
        batch_of(sandbox, records).apply(runner.partitions.held, runner.partitions.topic_uuids, [])
    assert sandbox.rows() == []
    runner.kafka.close()


def test_an_error_after_the_commit_accuses_no_message(sandbox: Sandbox) -> None:
    """Such as that of a handler's `on_commit`: the rows are there, and the error is raised."""
    sandbox.publish(1, 2, key="one")
    runner = sandbox.runner()
    records = sandbox.poll(runner)

    def handle(events: list[Any]) -> None:
        sandbox.handle(events)
        transaction.on_commit(fail)

    sandbox.consumer.handlers[sandbox.event] = handle
    with pytest.raises(ValueError, match="after the commit"):
        batch_of(sandbox, records).apply(runner.partitions.held, runner.partitions.topic_uuids, [])
    assert sandbox.rows() == [1, 2]
    assert not DeadLetter.objects.exists()
    runner.kafka.close()


def fail() -> None:
    raise ValueError("after the commit")
