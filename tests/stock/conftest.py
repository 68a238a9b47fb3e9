"""Fixtures of the tests of stock."""

from functools import partial
from uuid import UUID, uuid4

import pytest

from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming import progress
from kafka_bridge.exceptions import KafkaUnavailable
from stock import consumers
from tests.stack import wait_until
from tests.stock.carts import approval


@pytest.fixture
def rosa(db: None) -> UUID:
    """Return a maestro whose cart is open and full."""
    maestro_id = uuid4()
    consumers.abrir_carros([approval(maestro_id)])
    return maestro_id


@pytest.fixture(scope="session")
def topics(kafka: str) -> None:
    """Create the declared topics and wait until each has a leader."""
    topic_admin.create_topics(topic_admin.declared_topics())
    for topic in topic_admin.declared_topics():
        wait_until(partial(_has_leader, topic.name), 30)


def _has_leader(topic: str) -> bool:
    try:
        return bool(progress.end_offsets(topic))
    except KafkaUnavailable:
        return False
