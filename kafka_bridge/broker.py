"""Questions to the brokers: do they answer, which topics are there, where do partitions end."""

from collections.abc import Iterable
from functools import cache
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings

from kafka_bridge.events import registered
from kafka_bridge.topics import Topic

TIMEOUT_SECONDS: Final = 10.0


@cache
def admin() -> AdminClient:
    """One admin client a process."""
    return AdminClient({**settings.KAFKA_CLIENT_CONFIG, "socket.connection.setup.timeout.ms": 2_000})


def answers(timeout: float) -> bool:
    """Whether a broker answers within `timeout` seconds."""
    try:
        admin().list_topics(timeout=timeout)
    except KafkaException:
        return False
    return True


def declared_topics() -> list[Topic]:
    """The topics of all registered events, by name."""
    return sorted({event.topic for event in registered.values()}, key=lambda topic: topic.name)


def create_topics(topics: Iterable[Topic]) -> list[str]:
    """Makes the topics that are missing; returns their names. Raises KafkaException where a broker refuses."""
    replicas = min(3, len(admin().list_topics(timeout=TIMEOUT_SECONDS).brokers))
    futures = admin().create_topics([_new_topic(topic, replicas) for topic in topics])
    return [name for name, future in futures.items() if _was_created(future)]
