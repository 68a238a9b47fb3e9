"""Fixtures of the publishing tests."""

import pytest

from kafka_bridge.publishing import producer
from tests.support.sandbox import Sandbox
from tests.support.topics import take_kafka_away


@pytest.fixture
def kafka_away(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take Kafka away, after the sandbox's topic exists: all tests share an admin client."""
    take_kafka_away(monkeypatch)


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process a new producer, with the deadline of production."""
    monkeypatch.setattr(producer, "DEADLINE_MS", 3_000)
    monkeypatch.setattr(producer, "holder", producer.ProducerHolder())
