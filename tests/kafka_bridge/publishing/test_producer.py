"""Publishing: accepted means durable, in Kafka or in the outbox."""

import asyncio
import multiprocessing
import threading
import time
from typing import Any

import pytest
from django.db import connection, connections

from deploy.embedded.waiting import wait_until
from kafka_bridge import exceptions
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import producer
from tests.support.sandbox import SECONDS, Sandbox
from tests.support.topics import topic_numbers

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_messages_say_nothing_about_kafka(sandbox: Sandbox) -> None:
    began = time.monotonic()
    assert producer.process_producer().send([]) == []
    assert time.monotonic() - began < 1
    sandbox.publish(1)
    assert not OutboxMessage.objects.exists()


def test_published_events_are_in_the_topic(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    assert topic_numbers(sandbox) == [1, 2, 3]
    assert not OutboxMessage.objects.exists()


def test_a_lone_event_waits_for_no_other(sandbox: Sandbox) -> None:
    """A busy machine delays some events; librdkafka's gathering, its default, would delay all."""
    sandbox.publish(0)
    times = []
    for number in range(100):
        began = time.monotonic()
        sandbox.publish(number)
        times.append(time.monotonic() - began)
    assert min(times) < 0.005


@pytest.mark.slow
@pytest.mark.usefixtures("kafka_away")
def test_without_kafka_events_go_to_the_outbox(sandbox: Sandbox) -> None:
    began = time.monotonic()
    sandbox.publish(1, 2, key="one")
    assert time.monotonic() - began < producer.DEADLINE_MS / 1_000 + 1
    assert OutboxMessage.objects.count() == 2


@pytest.mark.slow
@pytest.mark.usefixtures("kafka_away")
def test_the_breaker_spares_the_wait(sandbox: Sandbox) -> None:
    sandbox.publish(1)
    began = time.monotonic()
    sandbox.publish(2)
    assert time.monotonic() - began < producer.DEADLINE_MS / 2_000
    assert OutboxMessage.objects.count() == 2


@pytest.mark.slow
@pytest.mark.usefixtures("kafka_away")
def test_without_database_too_nothing_is_accepted(sandbox: Sandbox) -> None:
    sandbox.publish(1)  # opens the circuit breaker
    event = sandbox.happened(2)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        with pytest.raises(exceptions.Unavailable):
            producer.publish(event)
    finally:
        connection.close()


def test_a_forked_process_delivers(sandbox: Sandbox) -> None:
    sandbox.publish(1, key="one")
    context = multiprocessing.get_context("fork")
    delivered = context.Event()
    child = context.Process(target=_publish_in_child, args=[sandbox, delivered])
    connections.close_all()  # a forked connection would be two processes on one socket
    child.start()
    child.join(SECONDS)
    assert delivered.is_set()
    assert topic_numbers(sandbox) == [1, 2]


def _publish_in_child(sandbox: Sandbox, delivered: "multiprocessing.synchronize.Event") -> None:
    sandbox.publish(2, key="one")
    if not OutboxMessage.objects.exists():
        delivered.set()


def test_threads_share_the_producer(sandbox: Sandbox) -> None:
    threads = [threading.Thread(target=sandbox.publish, args=[n]) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(topic_numbers(sandbox)) == list(range(32))


def test_an_event_loop_publishes_many_at_once(sandbox: Sandbox) -> None:
    async def publish_all() -> None:
        await asyncio.gather(*(producer.apublish(sandbox.happened(n)) for n in range(200)))

    asyncio.run(publish_all())
    assert sorted(topic_numbers(sandbox)) == list(range(200))
    assert not OutboxMessage.objects.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("kafka_away")
def test_an_event_loop_goes_on_while_kafka_is_away(sandbox: Sandbox) -> None:
    """The events go to the outbox within the deadline, and other work is not held up."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    async def publish_all() -> None:
        other = asyncio.create_task(turn())
        await asyncio.gather(*(producer.apublish(sandbox.happened(n)) for n in range(5)))
        other.cancel()

    began = time.monotonic()
    asyncio.run(publish_all())
    assert time.monotonic() - began < producer.DEADLINE_MS / 1_000 + 1
    assert turns > 100
    assert OutboxMessage.objects.count() == 5
    producer.process_producer().outbox.close()


@pytest.mark.slow
@pytest.mark.usefixtures("kafka_away")
def test_an_event_loop_is_told_that_nothing_was_accepted(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.publish(1)  # opens the circuit breaker

    async def publish() -> None:
        with pytest.raises(exceptions.Unavailable):
            await producer.apublish(sandbox.happened(2))

    outbox = producer.process_producer().outbox
    answer = outbox._answer

    def without_writes(calls: Any) -> Any:
        _refuse_writes()
        return answer(calls)

    monkeypatch.setattr(outbox, "_answer", without_writes)
    asyncio.run(publish())
    outbox.close()


def _refuse_writes() -> None:
    """Let this thread have a database that cannot be written."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


def test_an_answer_after_the_end_of_its_loop_harms_nothing(sandbox: Sandbox) -> None:
    async def begin() -> None:
        task = asyncio.create_task(producer.apublish(sandbox.happened(1)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(begin())
    sandbox.publish(2)
    assert sorted(topic_numbers(sandbox))[-1] == 2


def test_a_client_is_replaced_once(sandbox: Sandbox) -> None:
    sandbox.publish(1, key="one")
    shared = producer.process_producer()
    first = shared.client
    shared.renew(first)
    second = shared.client
    shared.renew(first)
    sandbox.publish(2, key="one")
    assert shared.client is second is not first
    assert topic_numbers(sandbox) == [1, 2]
    wait_until(lambda: not first.thread.is_alive(), SECONDS)
