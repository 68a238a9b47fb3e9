"""Publishing and the outbox: accepted means durable, in order within a key (design: promises 1, 5 and 8)."""

import multiprocessing
import threading
import time
from dataclasses import replace
from uuid import uuid4

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition
from django.conf import settings
from django.db import connection, connections, transaction

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge import exceptions
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.consuming.record import read
from kafka_bridge.events.codec import Message, encode
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import outbox, producer, relay
from tests.support.sandbox import SECONDS, Sandbox

pytestmark = pytest.mark.django_db(transaction=True)


def topic_numbers(sandbox: Sandbox) -> list[int]:
    """What is in the topic, partition by partition, in order."""
    ends = watermarks.end_offsets(topic_admin.partitions_of(sandbox.topic.name))
    reader = KafkaConsumer({"bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS, "group.id": str(uuid4())})
    reader.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
    found: list[KafkaMessage] = []
    while len(found) < sum(ends.values()):
        found += [m for m in reader.consume(sum(ends.values()) - len(found), SECONDS) if m.error() is None]
    reader.close()
    found.sort(key=lambda message: (message.partition(), message.offset()))
    return [read(message).event.n for message in found]  # type: ignore[union-attr]


@pytest.fixture
def kafka_away(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens where this process's producer connects. The topic is there first: all tests share an admin client."""
    config = {**settings.KAFKA_CLIENT_CONFIG, "bootstrap.servers": f"127.0.0.1:{free_port()}"}
    monkeypatch.setattr(settings, "KAFKA_CLIENT_CONFIG", config)
    monkeypatch.setattr(producer, "_process", None)
    monkeypatch.setattr(producer, "DEADLINE_MS", 3_000)


def test_nothing_to_send_is_no_sign_that_kafka_is_away(sandbox: Sandbox) -> None:
    began = time.monotonic()
    assert producer.process_producer().deliver([]) == []
    assert time.monotonic() - began < 1
    sandbox.publish(1)
    assert not OutboxMessage.objects.exists()


def relay_everything() -> None:
    wait_until(lambda: not relay.step() and not OutboxMessage.objects.exists(), SECONDS)


def test_publish_returns_when_the_event_is_in_the_topic(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    assert topic_numbers(sandbox) == [1, 2, 3]
    assert not OutboxMessage.objects.exists()


@pytest.mark.usefixtures("kafka_away")
def test_with_kafka_away_events_wait_in_the_outbox(sandbox: Sandbox) -> None:
    began = time.monotonic()
    sandbox.publish(1, 2, key="one")
    assert time.monotonic() - began < producer.DEADLINE_MS / 1_000 + 1
    assert OutboxMessage.objects.count() == 2


@pytest.mark.usefixtures("kafka_away")
def test_while_kafka_is_known_to_be_away_nobody_waits_for_it(sandbox: Sandbox) -> None:
    sandbox.publish(1)
    began = time.monotonic()
    sandbox.publish(2)
    assert time.monotonic() - began < producer.DEADLINE_MS / 2_000
    assert OutboxMessage.objects.count() == 2


@pytest.mark.usefixtures("kafka_away")
def test_with_both_away_nothing_is_accepted(sandbox: Sandbox) -> None:
    sandbox.publish(1)  # opens the circuit breaker
    event = sandbox.happened(2)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        with pytest.raises(exceptions.Unavailable):
            producer.publish(event)
    finally:
        connection.close()


def _publish_in_child(sandbox: Sandbox, done: "multiprocessing.synchronize.Event") -> None:
    sandbox.publish(2, key="one")
    if not OutboxMessage.objects.exists():
        done.set()


def test_a_forked_process_delivers_with_a_producer_of_its_own(sandbox: Sandbox) -> None:
    sandbox.publish(1, key="one")
    context = multiprocessing.get_context("fork")
    delivered = context.Event()
    child = context.Process(target=_publish_in_child, args=[sandbox, delivered])
    connections.close_all()  # a forked connection would be two processes on one socket
    child.start()
    child.join(SECONDS)
    assert delivered.is_set()
    assert topic_numbers(sandbox) == [1, 2]


def test_threads_share_the_producer(sandbox: Sandbox) -> None:
    threads = [threading.Thread(target=sandbox.publish, args=[n]) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(topic_numbers(sandbox)) == list(range(32))


def to_a_missing_partition(sandbox: Sandbox, n: int) -> Message:
    """As of a partition that has lost all its replicas: nothing ever acknowledges it."""
    return replace(encode(sandbox.happened(n)), partition=7)


def test_a_partition_that_is_away_does_not_keep_the_others_waiting(sandbox: Sandbox) -> None:
    outbox.add_messages([to_a_missing_partition(sandbox, n) for n in range(20)])
    outbox.add(*[sandbox.happened(n) for n in range(100, 120)])
    wait_until(lambda: not relay.step() and OutboxMessage.objects.count() == 20, SECONDS)
    assert sorted(topic_numbers(sandbox)) == list(range(100, 120))
    sandbox.publish(200)
    assert OutboxMessage.objects.count() == 20


def test_what_the_client_refuses_at_once_waits_in_the_outbox_and_stops_no_relay(sandbox: Sandbox) -> None:
    with transaction.atomic():
        outbox.add(
            event := sandbox.happened(1, key="k" * 1_100_000), sandbox.happened(2)
        )  # larger than a message may be
    relay.step()
    assert topic_numbers(sandbox) == [2]
    assert [row.event_id for row in OutboxMessage.objects.all()] == [event.id]
    producer.publish(sandbox.happened(3))
    assert sorted(topic_numbers(sandbox)) == [2, 3]


def test_a_producer_past_repair_is_replaced(sandbox: Sandbox) -> None:
    sandbox.publish(1, key="one")
    process = producer.process_producer()
    process.past_repair = True
    sandbox.publish(2, key="one")
    assert producer.process_producer() is not process
    assert topic_numbers(sandbox) == [1, 2]


def test_the_outbox_holds_what_its_transaction_committed_and_nothing_else(sandbox: Sandbox) -> None:
    with transaction.atomic():
        outbox.add(sandbox.happened(1))
        transaction.set_rollback(True)
    with transaction.atomic():
        outbox.add(sandbox.happened(2), sandbox.happened(3))
    relay_everything()
    assert sorted(topic_numbers(sandbox)) == [2, 3]


def test_several_relays_keep_the_order_within_a_key(sandbox: Sandbox) -> None:
    for start in range(0, 600, 50):
        outbox.add(*[sandbox.happened(n, key=str(n % 5)) for n in range(start, start + 50)])
    stop = threading.Event()
    relays = [threading.Thread(target=relay.run, args=[stop]) for _ in range(3)]
    for thread in relays:
        thread.start()
    wait_until(lambda: not OutboxMessage.objects.exists(), SECONDS)
    stop.set()
    for thread in relays:
        thread.join(SECONDS)
    numbers = topic_numbers(sandbox)
    assert len(numbers) == 600
    for key in range(5):
        assert [n for n in numbers if n % 5 == key] == list(range(key, 600, 5))


def test_a_relay_wakes_when_something_is_committed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 3 * SECONDS)  # only the notification can be in time
    listening = threading.Event()

    def listen_and_wait() -> None:
        relay.listen()
        listening.set()
        relay.wait_for_news()
        connection.close()

    thread = threading.Thread(target=listen_and_wait)
    thread.start()
    listening.wait(SECONDS)
    outbox.add(sandbox.happened(1))
    thread.join(SECONDS)
    assert not thread.is_alive()
