"""A transactional producer, as a mirror or a connector is one."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from confluent_kafka import Producer
from django.conf import settings

from kafka_bridge.events.codec import encode
from kafka_bridge.events.event import Event
from tests.support.sandbox import SECONDS


@contextmanager
def open_transaction(*events: Event, partition: int | None = None) -> Iterator[Producer]:
    """Write the events in a transaction that is open in the block; the block must end it."""
    config = {**settings.KAFKA_CLIENT_CONFIG, "transactional.id": str(uuid4()), "transaction.timeout.ms": 120_000}
    producer = Producer(config)
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    for event in events:
        message = encode(event)
        at = message.partition if partition is None else partition
        headers: list[tuple[str, str | bytes | None]] = [*message.headers]
        producer.produce(message.topic, partition=at, key=message.key, value=message.value, headers=headers)
    producer.flush(SECONDS)
    try:
        yield producer
    except BaseException:
        producer.abort_transaction(SECONDS)
        raise


def commit(*events: Event) -> None:
    """Write the events in a transaction and commit it."""
    with open_transaction(*events) as producer:
        producer.commit_transaction(SECONDS)


def abort(*events: Event) -> None:
    """Write the events in a transaction and abort it."""
    with open_transaction(*events) as producer:
        producer.abort_transaction(SECONDS)
