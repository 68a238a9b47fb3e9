"""The relay: in order within a key, past partitions out of reach, woken by commits."""

import threading

import msgspec
import pytest
from django.db import connection, transaction

from deploy.embedded.waiting import wait_until
from kafka_bridge.events.codec import Message, encode
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import outbox, relay
from kafka_bridge.telemetry.pulse import pulses
from tests.support.consumers import readiness, running
from tests.support.sandbox import SECONDS, Sandbox
from tests.support.topics import topic_numbers

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lost_partition_delays_no_other(sandbox: Sandbox) -> None:
    outbox.add_messages([to_a_missing_partition(sandbox, n) for n in range(20)])
    outbox.add(*[sandbox.happened(n) for n in range(100, 120)])
    wait_until(lambda: not relay.step() and OutboxMessage.objects.count() == 20, SECONDS)
    assert sorted(topic_numbers(sandbox)) == list(range(100, 120))
    sandbox.publish(200)
    assert OutboxMessage.objects.count() == 20


def to_a_missing_partition(sandbox: Sandbox, n: int) -> Message:
    """Return a message as of a partition that lost all its replicas: nothing acknowledges it."""
    return msgspec.structs.replace(encode(sandbox.happened(n)), partition=7)


def test_relay_says_what_it_cannot_send(sandbox: Sandbox) -> None:
    pulses.clear()
    outbox.add_messages([to_a_missing_partition(sandbox, 1)])
    with running(relay.run):
        wait_until(lambda: readiness()[0] == 503 and f"{sandbox.topic.name}[7]" in readiness()[1], SECONDS)
        OutboxMessage.objects.all().delete()  # as a person would, or another relay that can send it
        wait_until(lambda: readiness() == (200, ""), SECONDS)


def test_several_relays_keep_the_order_per_key(sandbox: Sandbox) -> None:
    for start in range(0, 600, 50):
        outbox.add(*[sandbox.happened(n, key=str(n % 5)) for n in range(start, start + 50)])
    with running(relay.run, relay.run, relay.run):
        wait_until(lambda: not OutboxMessage.objects.exists(), SECONDS)
    numbers = topic_numbers(sandbox)
    assert len(numbers) == 600
    for key in range(5):
        assert [n for n in numbers if n % 5 == key] == list(range(key, 600, 5))


def test_waiting_for_kafka_outlasts_a_limit_on_idle_transactions() -> None:
    """A server may end idle transactions soon: each round would send the same messages again."""
    with connection.cursor() as cursor:
        with transaction.atomic():
            relay._take(0)
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            assert cursor.fetchone() == ("23s",)
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_commit_wakes_the_relay(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 3 * SECONDS)  # only the notification can be in time
    listening = threading.Event()

    def listen_and_wait() -> None:
        relay.step()
        listening.set()
        relay.wait_for_news()
        connection.close()

    thread = threading.Thread(target=listen_and_wait)
    thread.start()
    listening.wait(SECONDS)
    outbox.add(sandbox.happened(1))
    thread.join(SECONDS)
    assert not thread.is_alive()
