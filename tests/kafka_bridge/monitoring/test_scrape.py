from django.db.models.functions import Now
from django.test import Client

from deploy.embedded.waiting import wait_until
from kafka_bridge import conf
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import outbox
from tests.support.monitoring import dead_letter
from tests.support.prometheus import samples
from tests.support.sandbox import SECONDS, Sandbox


def test_web_exposes_the_whole_system(client: Client, known: Sandbox) -> None:
    name = known.consumer.name
    outbox.add(known.happened(1), known.happened(2))
    refuse(known.topic.name)
    dead_letter(name)
    waiting = (f"{conf.PREFIX}_outbox_messages", ())
    wait_until(lambda: samples(client.get("/metrics").text)[waiting] == 1, SECONDS)
    found = samples(client.get("/metrics").text)
    assert found[f"{conf.PREFIX}_kafka_up", ()] == 1
    refused = f"{conf.PREFIX}_outbox_refused_messages"
    assert found[refused, (("topic", known.topic.name),)] == 1
    assert found[refused, (("topic", "mamochi.ventas"),)] == 0
    assert found[f"{conf.PREFIX}_open_dead_letters", (("consumer", name),)] == 1
    assert found[f"{conf.PREFIX}_group_members", (("group", name),)] == 0


def refuse(topic: str) -> None:
    """Mark one row of the topic as the relay does when Kafka refuses it for good."""
    first = OutboxMessage.objects.filter(topic=topic).order_by("pk")[:1]
    OutboxMessage.objects.filter(pk__in=first.values("pk")).update(refused_at=Now(), refusal="MSG_SIZE_TOO_LARGE")
