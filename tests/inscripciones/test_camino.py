"""The whole way, on the real parts: HTTP, Kafka, the consumer's two lanes, PostgreSQL, Celery, SMTP."""

import re
from uuid import uuid4

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from rest_framework.test import APIClient

from deploy.embedded.mailbox import Mailbox
from inscripciones import events
from inscripciones.models import Inscripcion
from kafka_bridge.brokers import watermarks
from kafka_bridge.models import OutboxMessage
from tests.stack import wait_until
from tests.support.people import formulario, pagado

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("smtp", "kafka")]
URL = "/api/v1/inscripciones/"
SEGUNDOS = 60.0


def todo_kafka(kafka: str) -> list[tuple[str, int, bytes]]:
    """Topic, partition and value of every message there is in the topics of this app."""
    lugares = [
        TopicPartition(topic.name, particion, OFFSET_BEGINNING)
        for topic in (events.INSCRIPCIONES, events.MAESTROS)
        for particion in range(topic.partitions)
    ]
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": str(uuid4()), "enable.auto.commit": False})
    consumer.assign(lugares)
    total = sum(watermarks.end_offsets([(lugar.topic, lugar.partition) for lugar in lugares]).values())
    messages: list[tuple[str, int, bytes]] = []

    def todos() -> bool:
        for message in consumer.consume(1_000, 0.5):
            messages.append((message.topic() or "", message.partition() or 0, message.value() or b""))
        return len(messages) >= total

    wait_until(todos, timeout=SEGUNDOS, what=f"{total} messages")
    consumer.close()
    return messages


@pytest.mark.usefixtures("sistema")
def test_from_the_form_to_a_token_that_works(mailbox: Mailbox, kafka: str) -> None:
    """Two Paid and three normal people, one of whom posts twice; a form in doubt waits for a person."""
    api = APIClient()
    forms = [pagado(), pagado(), formulario(), formulario(), formulario()]
    posted = [api.post(URL, form, format="json").json() for form in [*forms, forms[-1]]]
    dudosa = api.post(URL, formulario(nombre="Rosa"), format="json").json()
    tokens: list[str] = []
    for form in forms:
        [mail] = mailbox.wait_for(to=form["email"], subject="Tus credenciales de MAMOCHI", timeout=SEGUNDOS)
        tokens += set(re.findall(r"mmc_[0-9a-f]{64}", mail.text))
    assert len(tokens) == 5
    for token in tokens:
        assert api.get("/api/v1/tokens/", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert {api.get(datos["url"]).json()["estado"] for datos in posted} == {"aprobada"}
    wait_until(lambda: api.get(dudosa["url"]).json()["estado"] == "en_revision", timeout=SEGUNDOS)
    assert Inscripcion.objects.filter(email__in=[form["email"] for form in forms]).count() == 5
    wait_until(lambda: not OutboxMessage.objects.exists(), timeout=SEGUNDOS, what="the relay is done")
    messages = todo_kafka(kafka)
    assert not [token for token in tokens for _, _, value in messages if token[15:].encode() in value]
    ours = [(particion, value) for _, particion, value in messages if any(f["email"].encode() in value for f in forms)]
    assert {particion for particion, value in ours if b'"paid":true' in value} == {0}
    assert not [value for particion, value in ours if b'"paid":false' in value and particion == 0]
    aprobadas = [value for topic, _, value in messages if topic == events.MAESTROS.name]
    for form in forms:
        assert len([value for value in aprobadas if form["email"].encode() in value]) == 1
