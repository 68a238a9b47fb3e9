"""The relay: in order within a key, past partitions out of reach, woken by commits."""

import threading
from dataclasses import replace

import msgspec
import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.utils import timezone
from prometheus_client import Counter

from deploy.embedded.waiting import wait_until
from kafka_bridge.events.codec import Message, encode
from kafka_bridge.models import OutboxMessage
from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.system_state import Refused
from kafka_bridge.publishing import outbox, producer, relay
from kafka_bridge.telemetry import metrics
from tests.support.consumers import running
from tests.support.letters import client_with
from tests.support.monitoring import problems_of
from tests.support.sandbox import SECONDS, Sandbox
from tests.support.topics import configure, relay_everything, topic_numbers

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
    return replace(encode(sandbox.happened(n)), partition=7)


def test_a_refused_message_is_set_aside(sandbox: Sandbox) -> None:
    """What follows under its key is sent once, and innocent messages of its batch too."""
    configure(sandbox.topic.name, {"max.message.bytes": "2000"})
    events = [sandbox.happened(n, key="one") for n in range(30)]
    too_large = msgspec.structs.replace(events[3], name="one" + " " * 2_000)
    messages = [encode(event) for event in [*events[:3], too_large, *events[4:]]]
    outbox.add_messages([replace(message, partition=0, key=b"one") for message in messages])
    for _ in range(3):
        relay.step()
    assert sorted(topic_numbers(sandbox)) == [n for n in range(30) if n != 3]
    row = OutboxMessage.objects.get()
    assert (row.event_id, row.refusal) == (too_large.id, "MSG_SIZE_TOO_LARGE")
    assert row.refused_at is not None
    assert outbox.older_than(timezone.now(), [sandbox.topic.name]) == {}
    assert outbox.refused([sandbox.topic.name]) == {sandbox.topic.name: 1}
    assert not outbox.waiting(sandbox.topic.name)
    assert not producer.process_producer().breaker.open_partitions()
    assert producer.process_producer().breaker.lets_through([messages[0]])
    seen = overview.take()
    assert (seen.outbox.messages, seen.outbox.oldest_s) == (0, 0)
    assert seen.outbox.refused == [Refused(sandbox.topic.name, "MSG_SIZE_TOO_LARGE", 1)]
    assert f"Kafka rechaza definitivamente 1 mensaje ya aceptado de {sandbox.topic.name}" in problems_of(seen)


def test_a_refusal_is_no_outage(sandbox: Sandbox) -> None:
    """The counter of what is sent again, and with it its alert, stays."""
    configure(sandbox.topic.name, {"max.message.bytes": "1000"})
    outbox.add(sandbox.happened(1, key="k" * 1_000))
    before = value_of(metrics.RELAY_FAILED)
    relay.step()
    assert OutboxMessage.objects.get().refused_at
    assert value_of(metrics.RELAY_FAILED) == before


def value_of(counter: Counter) -> float:
    return next(sample.value for metric in counter.collect() for sample in metric.samples)


def test_staff_decide_about_refused_messages(sandbox: Sandbox) -> None:
    url = "/admin/kafka_bridge/outboxmessage/"
    staff = client_with("view_outboxmessage", "resend_outboxmessage", "discard_outboxmessage")
    configure(sandbox.topic.name, {"max.message.bytes": "1000"})
    outbox.add(sandbox.happened(1, key="k" * 1_000), sandbox.happened(2, key="j" * 1_000))
    relay.step()
    first, second = OutboxMessage.objects.filter(refused_at__isnull=False)
    form = {"action": "discard", "_selected_action": [first.pk]}
    assert b"MSG_SIZE_TOO_LARGE" in staff.get(url).content
    other = client_with("view_outboxmessage", "resend_outboxmessage", username="otra")
    other.post(url, {**form, "confirmed": "1", "reason": "no"})
    client_with("view_outboxmessage", username="nadie").post(url, {**form, "action": "send_again"})
    assert OutboxMessage.objects.filter(refused_at__isnull=False).count() == 2
    assert "Motivo" in staff.post(url, form).content.decode()
    staff.post(url, {**form, "confirmed": "1", "reason": "prueba"})
    assert list(OutboxMessage.objects.all()) == [second]
    assert LogEntry.objects.get().change_message == "Descartado: prueba"
    again = {"action": "send_again", "_selected_action": [second.pk]}
    assert "vuelve a esta lista" in other.post(url, again, follow=True).content.decode()
    relay.step()
    assert OutboxMessage.objects.get().refusal == "MSG_SIZE_TOO_LARGE"  # the limit is still the same
    configure(sandbox.topic.name, {"max.message.bytes": "100000"})
    other.post(url, again)
    assert "Ninguno de los mensajes elegidos" in other.post(url, again, follow=True).content.decode()
    relay_everything()
    assert topic_numbers(sandbox) == [2]
    notes = LogEntry.objects.order_by("pk").values_list("user__username", "change_message")
    assert list(notes)[1:] == [("otra", "Reenviado.")] * 2


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
            assert relay._lock(0)
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            assert cursor.fetchone() == ("23s",)
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_commit_wakes_the_relay(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
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
