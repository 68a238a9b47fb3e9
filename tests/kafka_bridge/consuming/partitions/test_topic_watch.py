"""A consumer notices a recreated topic and reads it from its beginning."""

from collections.abc import Callable

import pytest

from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming.partitions import topic_watch
from tests.support.sandbox import SECONDS, Sandbox


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


@pytest.fixture
def full_sandbox(make_sandbox: Callable[..., Sandbox], table: None) -> Sandbox:
    """Return a sandbox with as many partitions as the topic of sales."""
    return make_sandbox(partitions=6)
