from django.test import Client

from deploy.embedded.waiting import wait_until
from kafka_bridge import conf
from kafka_bridge.publishing import outbox
from tests.support.monitoring import dead_letter
from tests.support.prometheus import samples
from tests.support.sandbox import SECONDS, Sandbox


def test_web_exposes_the_whole_system(client: Client, known: Sandbox) -> None:
    name = known.consumer.name
    outbox.add(known.happened(1))
    dead_letter(name)
    waiting = (f"{conf.PREFIX}_outbox_messages", ())
    wait_until(lambda: samples(client.get("/metrics").text)[waiting] == 1, SECONDS)
    found = samples(client.get("/metrics").text)
    assert found[f"{conf.PREFIX}_kafka_up", ()] == 1
    assert found[f"{conf.PREFIX}_open_dead_letters", (("consumer", name),)] == 1
    assert found[f"{conf.PREFIX}_group_members", (("group", name),)] == 0
