"""Registering handlers."""

import pytest

from kafka_bridge.consuming.handlers import Consumer, consumers, handles
from tests.support.declare import declaring


def test_a_consumer_handles_an_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(consumers, "sandbox", Consumer("sandbox", 10))
    with declaring() as declare:
        event = declare()
        handles(event, consumer="sandbox")(lambda events: None)
        with pytest.raises(ValueError, match=f"sandbox handles {event.type} twice"):
            handles(event, consumer="sandbox")(lambda events: None)
