"""A consumer notices a recreated topic and reads it from its beginning."""

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from django.db import OperationalError

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.consuming.partitions import topic_watch
from kafka_bridge.publishing import relay
from tests.support.consumers import running
from tests.support.sandbox import SECONDS, Sandbox, is_there


def test_a_topic_recreated_before_a_start(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
    sandbox.recreate_topic()
    sandbox.publish(*range(10, 20), key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 13, SECONDS)
    assert sandbox.rows() == [1, 2, 3, *range(10, 20)]


def test_a_topic_recreated_while_it_is_read(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_watch, "WATCH_SECONDS", 0.2)
    sandbox.publish(1, 2, 3, key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
        sandbox.recreate_topic()
        sandbox.publish(*range(10, 20), key="one")  # three of them lie below the offset of the consumer
        wait_until(lambda: {*range(10, 20)} <= {*sandbox.rows()}, SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "watch_seconds"),
    [
        pytest.param(60, 12, topic_watch.WATCH_SECONDS, id="error-first"),
        pytest.param(60, 12, 0.1, id="watch-first"),
        pytest.param(12, 60, topic_watch.WATCH_SECONDS, id="no-error"),
    ],
)
def test_all_of_a_recreated_topic_is_read(
    full_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, before: int, after: int, watch_seconds: float
) -> None:
    """The client reports the lost offset before the watch sees the new topic, after, or never."""
    monkeypatch.setattr(topic_watch, "WATCH_SECONDS", watch_seconds)
    full_sandbox.publish(*range(before))
    with full_sandbox.running():
        wait_until(lambda: len(full_sandbox.rows()) == before, SECONDS)
        full_sandbox.recreate_topic()
        new = range(1_000, 1_000 + after)
        full_sandbox.publish(*new)
        wait_until(lambda: {*new} <= {*full_sandbox.rows()}, SECONDS)


@pytest.mark.chaos
@pytest.mark.parametrize("partitions", [(2, 6), (9,), (6, 6)], ids=["fewer", "more", "twice"])
def test_topic_recreated_in_another_shape_is_read(full_sandbox: Sandbox, partitions: tuple[int, ...]) -> None:
    """With fewer partitions, which are added later; with more; or twice in a row."""
    full_sandbox.publish(*range(60))
    first, *later = partitions
    with full_sandbox.running(), running(relay.run):
        wait_until(lambda: len(full_sandbox.rows()) == 60, SECONDS)
        recreate(full_sandbox, first)
        full_sandbox.publish(*range(1_000, 1_012))
        for number in later:
            if number == first:
                recreate(full_sandbox, number)
            else:
                topic_admin.add_partitions([replace(full_sandbox.topic, partitions=number)])
        full_sandbox.publish(*range(2_000, 2_012))
        new = {*range(2_000, 2_012)} | ({*range(1_000, 1_012)} if partitions != (6, 6) else set())
        wait_until(lambda: new <= {*full_sandbox.rows()}, SECONDS)


@pytest.mark.chaos
def test_topic_recreated_during_an_outage_is_read(full_sandbox: Sandbox) -> None:
    """The database is down while the topic is deleted and made again."""
    full_sandbox.publish(*range(60))
    down, apply = threading.Event(), full_sandbox.handle

    def handle(events: list[Any]) -> None:
        if down.is_set():
            raise OperationalError("the database is down")
        apply(events)

    full_sandbox.consumer.handlers[full_sandbox.event] = handle
    with full_sandbox.running():
        wait_until(lambda: len(full_sandbox.rows()) == 60, SECONDS)
        down.set()
        full_sandbox.publish(*range(100, 130))
        full_sandbox.recreate_topic()
        full_sandbox.publish(*range(1_000, 1_012))
        down.clear()
        wait_until(lambda: {*range(1_000, 1_012)} <= {*full_sandbox.rows()}, SECONDS)


@pytest.mark.chaos
def test_topic_recreated_after_new_leaders_is_read(full_sandbox: Sandbox, stack: Stack) -> None:
    """A client follows no leader of a lower epoch than it knows; those of a topic begin at 0."""
    full_sandbox.publish(*range(60))
    stack.kafka.brokers[0].restart()
    with full_sandbox.running():
        wait_until(lambda: len(full_sandbox.rows()) == 60, SECONDS)
        full_sandbox.recreate_topic()
        new = range(1_000, 1_060)
        full_sandbox.publish(*new)
        wait_until(lambda: {*new} <= {*full_sandbox.rows()}, SECONDS)


def recreate(sandbox: Sandbox, partitions: int) -> None:
    """Delete the topic, and create it with this number of partitions."""
    sandbox.delete_topic()
    topic = replace(sandbox.topic, partitions=partitions)
    topic_admin.create_topics([topic])
    wait_until(lambda: is_there(topic), SECONDS)


@pytest.mark.slow
def test_all_partitions_of_a_recreated_topic(full_sandbox: Sandbox) -> None:
    """Kafka reports an error only where the new partition is shorter than the old offset."""
    shorter, longer = _keys_of_two_partitions(full_sandbox)
    full_sandbox.publish(*range(60), key=shorter)
    full_sandbox.publish(60, 61, key=longer)
    with full_sandbox.running():
        wait_until(lambda: len(full_sandbox.rows()) == 62, SECONDS)
        full_sandbox.recreate_topic()
        full_sandbox.publish(*range(100, 110), key=longer)  # two lie below the offset of the consumer
        full_sandbox.publish(200, key=shorter)
        wait_until(lambda: {*range(100, 110), 200} <= {*full_sandbox.rows()}, SECONDS)


def test_a_topic_recreated_between_two_questions(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka tells the id of the old topic and the ends of the new one: no message is lost."""
    sandbox.publish(1, 2, 3, key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
    asked, bounds = count(), watermarks.bounds

    def recreate_before_the_first_answer(*arguments: Any) -> Any:
        if not next(asked):
            sandbox.recreate_topic()
        return bounds(*arguments)

    monkeypatch.setattr(watermarks, "bounds", recreate_before_the_first_answer)
    with sandbox.running():
        wait_until(lambda: next(asked) > 1, SECONDS)
        sandbox.publish(4, 5, key="one")
        wait_until(lambda: sandbox.rows() == [1, 2, 3, 4, 5], SECONDS)


def _keys_of_two_partitions(sandbox: Sandbox) -> tuple[str, str]:
    keys = {sandbox.topic.partition_for(str(n), priority=False): str(n) for n in range(100)}
    return keys[0], keys[1]


@pytest.fixture
def full_sandbox(make_sandbox: Callable[..., Sandbox], table: None) -> Sandbox:
    """Return a sandbox with as many partitions as the topic of sales."""
    return make_sandbox(partitions=6)
