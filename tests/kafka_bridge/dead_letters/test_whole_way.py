"""From a failing handler to the replay by staff, with a real broker."""

import json
from uuid import UUID, uuid4

from django.db import connection
from django.test import Client

from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.dead_letters import actions, reading
from kafka_bridge.models import DeadLetter, OutboxMessage
from kafka_bridge.publishing import relay
from tests.support.letters import STAFF, url_of
from tests.support.sandbox import SECONDS, Sandbox


def test_a_replay_reaches_only_its_consumer(consumed: Sandbox, staff: Client) -> None:
    consumed.poison = {7}
    consumed.publish(*range(10), key="one")
    bystander = Consumer(f"bystander-{uuid4()}", 500)
    seen: list[int] = []
    other = Sandbox(consumed.topic, consumed.event, bystander)
    bystander.handlers[consumed.event] = lambda events: seen.extend(event.n for event in events)
    with consumed.running(consumed.runner(), other.runner()):
        wait_until(lambda: len(consumed.rows()) == 9 and len(seen) == 10, SECONDS)
        consumed.poison = set()
        letter = DeadLetter.objects.get()
        original = json.loads(bytes(letter.value or b""))
        form = {"payload": json.dumps(original), "event_type": consumed.event.type}
        assert staff.post(url_of(letter, "correct_and_replay"), form).status_code == 302
        wait_until(relay.step, SECONDS)
        wait_until(lambda: 7 in consumed.rows(), SECONDS)
        consumed.publish(10, key="one")
        wait_until(lambda: 10 in seen and 10 in consumed.rows(), SECONDS)
    assert sorted(consumed.rows()) == list(range(11))
    assert seen == list(range(11))  # once each: the replay of 7 was not for this consumer
    with connection.cursor() as cursor:
        cursor.execute("SELECT event_id FROM sandbox_row WHERE n = 7")
        assert cursor.fetchall() == [(UUID(original["id"]),)]


def test_failing_again_is_a_new_letter(consumed: Sandbox) -> None:
    consumed.poison = {7}
    consumed.publish(7)
    with consumed.running(consumed.runner()):
        wait_until(DeadLetter.objects.exists, SECONDS)
        first = DeadLetter.objects.get()
        actions.replay(first.pk, by=STAFF)
        wait_until(relay.step, SECONDS)
        wait_until(lambda: DeadLetter.objects.count() == 2, SECONDS)
    second = DeadLetter.objects.get(state="open")
    assert reading.event_id(second) == reading.event_id(first)
    actions.replay(second.pk, by=STAFF)
    headers = OutboxMessage.objects.get().headers
    assert [value for name, value in headers if name == REPLAY_HEADER] == [consumed.consumer.name]
