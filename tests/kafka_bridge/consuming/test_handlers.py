"""Registering handlers."""

import pytest

from kafka_bridge.consuming.handlers import Consumer, Gathers, consumers, handles
from tests.support.declare import declaring


def test_a_consumer_handles_an_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(consumers, "sandbox", Consumer("sandbox", 10))
    with declaring() as declare:
        event = declare()
        handles(event, consumer="sandbox")(lambda events: None)
        with pytest.raises(ValueError, match=f"sandbox handles {event.type} twice"):
            handles(event, consumer="sandbox")(lambda events: None)


def test_a_consumer_gathers_the_most_that_a_handler_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(consumers, "sandbox", Consumer("sandbox", 10))
    with declaring() as declare:
        for gathers in (Gathers.WHEN_BUSY, Gathers.ALWAYS, Gathers.NEVER):
            handles(declare(), consumer="sandbox", gathers=gathers)(lambda events: None)
    assert consumers["sandbox"].gathers is Gathers.ALWAYS
