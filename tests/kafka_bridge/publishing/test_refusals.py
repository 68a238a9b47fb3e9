"""Messages that Kafka refuses for good: not accepted, or set aside for a person."""

from collections import Counter
from collections.abc import Callable

import msgspec
import prometheus_client
import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from kafka_bridge import exceptions
from kafka_bridge.events.codec import encode
from kafka_bridge.models import OutboxMessage
from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.system_state import Refused
from kafka_bridge.publishing import outbox, producer, refusals, relay, rest
from kafka_bridge.telemetry import metrics
from tests.support.letters import client_with
from tests.support.monitoring import problems_of
from tests.support.sandbox import Sandbox
from tests.support.topics import configure, relay_everything, topic_numbers

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_that_kafka_refuses_is_not_accepted(sandbox: Sandbox) -> None:
    """By the usual limit, before anything is sent, and by a smaller one of the topic."""
    too_large = sandbox.happened(1, key="k" * 500_000)
    for accept in (producer.publish, outbox.add):
        with pytest.raises(exceptions.MessageTooLarge, match="990000"):
            accept(sandbox.happened(2), too_large)
    configure(sandbox.topic.name, {"max.message.bytes": "5000"})
    with pytest.raises(exceptions.MessageTooLarge, match="4900"):
        producer.publish(sandbox.happened(3, key="k" * 5_000))
    sandbox.publish(4)
    assert topic_numbers(sandbox) == [4]
    assert not OutboxMessage.objects.exists()


def test_small_events_of_a_refused_batch_are_accepted(
    make_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka refuses the batch as a whole; it is asked once for the topic's limit."""
    sandbox = make_sandbox(partitions=1)
    configure(sandbox.topic.name, {"max.message.bytes": "2000"})
    asked = Counter[str]()
    limit_of = refusals._limit_of
    monkeypatch.setattr(refusals, "_limit_of", lambda topic: asked.update([topic]) or limit_of(topic))
    sandbox.publish(*range(30), key="one")
    assert asked == {sandbox.topic.name: 1}
    relay_everything()
    assert sorted(topic_numbers(sandbox)) == list(range(30))


def test_an_event_that_is_too_large_is_413() -> None:
    answer = rest.exception_handler(exceptions.MessageTooLarge("muy largo"), {})
    assert answer is not None
    assert (answer.status_code, str(answer.data["detail"])) == (413, "muy largo")


def test_a_refused_message_is_set_aside(sandbox: Sandbox) -> None:
    """What follows under its key is sent once, and innocent messages of its batch too."""
    configure(sandbox.topic.name, {"max.message.bytes": "2000"})
    events = [sandbox.happened(n, key="one") for n in range(30)]
    too_large = msgspec.structs.replace(events[3], name="one" + " " * 2_000)
    messages = [encode(event) for event in [*events[:3], too_large, *events[4:]]]
    outbox.add_messages([msgspec.structs.replace(message, partition=0, key=b"one") for message in messages])
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


def value_of(counter: prometheus_client.Counter) -> float:
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
