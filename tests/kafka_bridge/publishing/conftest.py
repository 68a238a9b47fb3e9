"""Fixtures of the publishing tests."""

import pytest

from tests.support.sandbox import Sandbox
from tests.support.topics import take_kafka_away


@pytest.fixture
def kafka_away(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take Kafka away, after the sandbox's topic exists: all tests share an admin client."""
    take_kafka_away(monkeypatch)
