"""A consumer notices a recreated topic and reads it from its beginning."""

import pytest

from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming import positions
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
    monkeypatch.setattr(positions, "WATCH_SECONDS", 0.2)
    sandbox.publish(1, 2, 3, key="one")
    with sandbox.running():
        wait_until(lambda: len(sandbox.rows()) == 3, SECONDS)
        sandbox.recreate_topic()
        sandbox.publish(*range(10, 20), key="one")  # three of them lie below the offset of the consumer
        wait_until(lambda: {*range(10, 20)} <= {*sandbox.rows()}, SECONDS)
