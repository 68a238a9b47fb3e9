"""What the tests of stock share."""

from functools import partial
from uuid import UUID, uuid4

import pytest
from django.apps import apps

from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming import progress
from kafka_bridge.exceptions import KafkaUnavailable
from stock import consumers, seed
from tests.stack import wait_until
from tests.stock.guion import aprobada


@pytest.fixture
def catalogo(db: None) -> None:
    """The ingredients; a transactional test before this one emptied the tables."""
    seed.sembrar(apps)


@pytest.fixture
def rosa(catalogo: None) -> UUID:
    """A maestro whose cart is open and full."""
    maestro_id = uuid4()
    consumers.abrir_carros([aprobada(maestro_id)])
    return maestro_id


@pytest.fixture(scope="session")
def topics(kafka: str) -> None:
    """The declared topics, led."""
    topic_admin.create_topics(topic_admin.declared_topics())
    for topic in topic_admin.declared_topics():
        wait_until(partial(_leads, topic.name), 30)


def _leads(topic: str) -> bool:
    try:
        return bool(progress.end_offsets(topic))
    except KafkaUnavailable:  # made, and not led yet
        return False
