"""Read a topic, make Kafka unreachable for this process, and empty the outbox."""

from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource
from django.conf import settings

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client, topic_admin, watermarks
from kafka_bridge.brokers.messages import headers_of
from kafka_bridge.events.codec import decode
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import producer, relay
from tests.support.sandbox import SECONDS, Sandbox


def topic_numbers(sandbox: Sandbox) -> list[int]:
    """Return the numbers of the events in the sandbox's topic, partition by partition, in order."""
    ends = watermarks.end_offsets(topic_admin.partitions_of(sandbox.topic.name))
    reader = KafkaConsumer({"bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS, "group.id": str(uuid4())})
    reader.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
    found: list[KafkaMessage] = []
    while len(found) < sum(ends.values()):
        found += [m for m in reader.consume(sum(ends.values()) - len(found), SECONDS) if m.error() is None]
    reader.close()
    found.sort(key=lambda message: (message.partition(), message.offset()))
    events: list[Any] = [decode(headers_of(message), message.value()) for message in found]
    return [event.n for event in events]


def configure(topic: str, values: dict[str, str]) -> None:
    """Set some of the topic's values on the brokers."""
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    client.admin().incremental_alter_configs([resource])[resource].result()


def take_kafka_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process a new producer that connects where nothing listens."""
    config = {**settings.KAFKA_CLIENT_CONFIG, "bootstrap.servers": f"127.0.0.1:{free_port()}"}
    monkeypatch.setattr(settings, "KAFKA_CLIENT_CONFIG", config)
    monkeypatch.setattr(producer, "holder", producer.ProducerHolder())
    monkeypatch.setattr(producer, "DEADLINE_MS", 3_000)


def relay_everything() -> None:
    """Run the relay until the outbox is empty."""
    wait_until(lambda: not relay.step() and not OutboxMessage.objects.exists(), SECONDS)
