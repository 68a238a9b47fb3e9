"""A runner applies each event once, in order, and continues at the database's offset."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from django.conf import settings
from django.db import connection, transaction

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.consuming import intake
from kafka_bridge.consuming import runner as runner_module
from kafka_bridge.consuming.culprits.limits import FailureLimit
from kafka_bridge.consuming.handlers import Consumer, Gathers
from kafka_bridge.consuming.partitions import commits, held
from kafka_bridge.consuming.record import Record
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.models import ConsumerOffset, DeadLetter
from kafka_bridge.publishing import producer
from kafka_bridge.telemetry.pulse import pulses
from tests.support.sandbox import SECONDS, Sandbox, replace_methods


@pytest.fixture(autouse=True)
def _no_idle_connection(sandbox: Sandbox) -> Iterator[None]:
    """Close the test's connection, which a server may have ended because it was idle for long."""
    yield
    connection.close()


def test_each_event_becomes_a_row(sandbox: Sandbox) -> None:
    sandbox.publish(*range(100))
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 100, SECONDS)
    ends = watermarks.end_offsets(topic_admin.partitions_of(sandbox.topic.name))
    assert sandbox.offsets() == {partition: end for (_, partition), end in ends.items()}
    assert sorted(sandbox.rows()) == list(range(100))


def test_events_of_a_key_keep_their_order(sandbox: Sandbox) -> None:
    sandbox.publish(*range(300), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 300, SECONDS)
    assert sandbox.rows() == list(range(300))


def test_the_databases_offset_wins(sandbox: Sandbox) -> None:
    sandbox.publish(*range(10), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 10, SECONDS)
    other_member = sandbox.runner().kafka
    other_member.commit(offsets=[TopicPartition(sandbox.topic.name, p, 0) for p in (0, 1)], asynchronous=False)
    other_member.close()
    sandbox.publish(10, key="one")
    with sandbox.running():
        wait_until(lambda: 10 in sandbox.rows(), SECONDS)
    assert sandbox.rows() == list(range(11))


def test_restored_offsets_are_noticed_without_messages(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup is restored while the consumer runs; nothing new comes that would tell it."""
    monkeypatch.setattr(held, "LOOK_SECONDS", 0.3)
    sandbox.publish(1, key="one")
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [1], SECONDS)
        before = sandbox.offsets()
        sandbox.publish(2, 3, key="one")
        wait_until(lambda: sandbox.rows() == [1, 2, 3], SECONDS)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM sandbox_row WHERE n > 1")
            for partition, offset in before.items():
                ConsumerOffset.objects.filter(topic=sandbox.topic.name, partition=partition).update(next_offset=offset)
        wait_until(lambda: sandbox.rows() == [1, 2, 3], SECONDS)


def test_two_owners_apply_each_event_once(sandbox: Sandbox) -> None:
    """Two members in groups of their own both hold all partitions."""
    sandbox.publish(*range(50))
    runners = [sandbox.runner(group=f"{sandbox.consumer.name}-{name}") for name in "ab"]
    with sandbox.running(*runners):
        wait_until(lambda: len(sandbox.rows()) >= 50, SECONDS)
        for n in range(50, 150):
            sandbox.publish(n)
        wait_until(lambda: len(sandbox.rows()) >= 150, SECONDS)
    assert sorted(sandbox.rows()) == list(range(150))


def test_each_lane_applies_its_own_partition(make_sandbox: Callable[..., Sandbox], table: None) -> None:
    sandbox = make_sandbox(partitions=3, lane="paid")
    events = [sandbox.event.now(id=sandbox.event.derive_id(n), n=n, name=str(n), urgent=n < 5) for n in range(40)]
    producer.publish(*events)
    with sandbox.running(sandbox.runner(lane="paid")):
        wait_until(lambda: len(sandbox.rows()) >= 5, SECONDS)
    assert sandbox.rows() == [0, 1, 2, 3, 4]
    assert watermarks.end_offsets([(sandbox.topic.name, 0)]) == {(sandbox.topic.name, 0): 5}
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) >= 40, SECONDS)
    assert sorted(sandbox.rows()) == list(range(40))
    assert ConsumerOffset.objects.filter(consumer=sandbox.consumer.name).count() == 3


def test_the_bytes_of_a_batch_are_limited(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BATCH_BYTES", 50_000)
    monkeypatch.setattr(intake, "CHUNK", 10)
    for n in range(100):
        sandbox.send_raw(b"x" * 10_000, [("ce_type", b"")], sandbox.topic.partition_for(str(n % 2), priority=False))
    runner = WeighingRunner(sandbox.consumer, stop=threading.Event())
    runner.limit = FailureLimit(in_a_row=1_000, share=1.0)
    with sandbox.running(runner):
        wait_until(lambda: DeadLetter.objects.count() == 100, SECONDS)
    assert max(runner.sizes) <= 150_000  # the limit and one chunk
    assert len(runner.sizes) < 50


class WeighingRunner(Runner):
    """A runner that notes the bytes of each batch."""

    def __init__(self, consumer: Consumer, *, stop: threading.Event) -> None:
        super().__init__(consumer, stop=stop)
        self.sizes: list[int] = []

    def apply(self, records: list[Record]) -> bool:
        self.sizes.append(sum(len(record.message) for record in records))
        return super().apply(records)


def test_a_refused_commit_applies_nothing_again(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(**_options: object) -> None:
        raise KafkaException(KafkaError(KafkaError._STATE))

    sandbox.publish(*range(5), key="one")
    runner = sandbox.runner()
    records = sandbox.poll(runner)
    replace_methods(runner, commit=refuse)
    assert runner.apply(records)
    runner.commits.send(runner.kafka, runner.partitions.held)
    assert sandbox.rows() == [0, 1, 2, 3, 4]
    assert "does not take the offsets" in caplog.text
    runner.commits.on_commit(None, [TopicPartition(sandbox.topic.name, 0, 1)])
    assert "does not take an offset" not in caplog.text
    runner.commits.on_commit(KafkaError(KafkaError.ILLEGAL_GENERATION), [])
    assert "does not take an offset" in caplog.text
    runner.kafka.close()


def committed(sandbox: Sandbox) -> int:
    """Return how many messages Kafka takes for applied, asked with a client of its own."""
    kafka = KafkaConsumer({**settings.KAFKA_CLIENT_CONFIG, "group.id": sandbox.consumer.name})
    places = [TopicPartition(sandbox.topic.name, number) for number in range(sandbox.topic.partitions)]
    try:
        return sum(max(0, place.offset) for place in kafka.committed(places, SECONDS))
    finally:
        kafka.close()


def test_offsets_reach_kafka_while_it_runs(sandbox: Sandbox) -> None:
    sandbox.publish(*range(10))
    with sandbox.running():
        wait_until(lambda: committed(sandbox) == 10, SECONDS)


def test_offsets_reach_kafka_at_the_end(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits.KafkaCommits, "send_if_due", lambda *_: None)
    sandbox.publish(*range(10))
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 10, SECONDS)
    assert committed(sandbox) == 10


def test_a_refused_commit_is_sent_again_without_new_messages(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka refuses while the group shares out its partitions; autoscalers look at what it has."""
    monkeypatch.setattr(commits, "AGAIN_SECONDS", 0.2)
    sandbox.publish(*range(10))
    runner = sandbox.runner()
    refusals = 2

    def refuse_twice(**options: Any) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
        kafka.commit(**options)

    kafka = runner.kafka
    replace_methods(runner, commit=refuse_twice)
    with sandbox.running(runner):
        wait_until(lambda: committed(sandbox) == 10, SECONDS)
    assert caplog.text.count("does not take the offsets") == 2


def test_an_old_generation_is_refused_and_sent_again(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes later, by partition, and only what was refused is sent again."""
    monkeypatch.setattr(commits, "AGAIN_SECONDS", 0.0)
    sent: list[dict[int, int]] = []
    runner = sandbox.runner()
    replace_methods(
        runner, commit=lambda offsets, **_: sent.append({place.partition: place.offset for place in offsets})
    )
    told = runner.commits
    held = {(sandbox.topic.name, 0): 7, (sandbox.topic.name, 1): 3}
    told.send(runner.kafka, held)
    told.send(runner.kafka, held)
    refused = TopicPartition(sandbox.topic.name, 1, 3)
    told.on_commit(KafkaError(KafkaError.ILLEGAL_GENERATION), [refused])
    told.send_if_due(runner.kafka, held)
    told.on_commit(None, [refused])
    told.send_if_due(runner.kafka, held)
    assert sent == [{0: 7, 1: 3}, {1: 3}]
    runner.kafka.close()


def test_the_next_owner_tells_kafka_what_a_killed_one_applied(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one ends before its commit, and no message comes for the second one."""
    with monkeypatch.context() as killed:
        killed.setattr(commits.KafkaCommits, "send", lambda *_: None)
        sandbox.publish(*range(10))
        with sandbox.running():
            wait_until(lambda: len(sandbox.rows()) == 10, SECONDS)
    assert committed(sandbox) == 0
    with sandbox.running():
        wait_until(lambda: committed(sandbox) == 10, SECONDS)
    assert sorted(sandbox.rows()) == list(range(10))


def publish_one_by_one(sandbox: Sandbox, numbers: Iterable[int]) -> None:
    for number in numbers:
        sandbox.publish(number, key="one")


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("gathers", Gathers)
def test_a_consumer_that_gathers_has_fewer_batches(
    make_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch, gathers: Gathers
) -> None:
    monkeypatch.setattr(runner_module, "GATHER_MS", 200)
    monkeypatch.setattr(runner_module, "PAUSE_MS", 200)
    sandbox = make_sandbox(gathers=gathers, partitions=1)
    runner = sandbox.runner()
    sandbox.publish(0, key="one")
    assert len(sandbox.poll(runner)) == 1
    publishing = threading.Thread(target=publish_one_by_one, args=[sandbox, range(1, 201)])
    publishing.start()
    sizes: list[int] = []
    while sum(sizes) < 200:
        sizes += [len(records)] if (records := runner.poll()) else []
    publishing.join()
    # Each event is published after the one before was acknowledged, some milliseconds apart.
    assert (median(sizes) >= 5) is (gathers is not Gathers.NEVER)
    runner.kafka.close()


@pytest.mark.usefixtures("table")
def test_a_message_that_comes_alone_waits_for_no_other(
    make_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one would come too late. The pause after the first ends when the runner stops."""
    monkeypatch.setattr(runner_module, "PAUSE_MS", 10_000 * SECONDS)
    sandbox = make_sandbox(gathers=Gathers.WHEN_BUSY)
    sandbox.publish(1)
    with sandbox.running():
        wait_until(lambda: sandbox.rows() == [1], SECONDS)
    assert sandbox.consumer.name not in pulses, "the runner has not ended"


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("gathers", [Gathers.WHEN_BUSY, Gathers.ALWAYS])
def test_a_full_batch_waits_for_no_more(
    make_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch, gathers: Gathers
) -> None:
    monkeypatch.setattr(runner_module, "GATHER_MS", 2_000)
    monkeypatch.setattr(runner_module, "PAUSE_MS", 2_000)
    sandbox = make_sandbox(max_batch=5, gathers=gathers)
    sandbox.publish(*range(100), key="one")
    began = time.monotonic()
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 100, SECONDS)
        assert time.monotonic() - began < 20, "the twenty batches would have gathered for 40 s"
