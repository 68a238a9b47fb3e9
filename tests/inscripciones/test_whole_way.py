"""The whole way on real parts: HTTP, Kafka, the consumer's two lanes, PostgreSQL, Celery, SMTP."""

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
from tests.support.api import client_with
from tests.support.people import make_form, make_paid_form

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("smtp", "kafka")]
URL = "/api/v1/inscripciones/"
SECONDS = 60.0


def all_messages(kafka: str) -> list[tuple[str, int, bytes]]:
    """Return topic, partition and value of every message in the topics of this app."""
    places = [
        TopicPartition(topic.name, partition, OFFSET_BEGINNING)
        for topic in (events.INSCRIPCIONES, events.MAESTROS)
        for partition in range(topic.partitions)
    ]
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": str(uuid4()), "enable.auto.commit": False})
    consumer.assign(places)
    total = sum(watermarks.end_offsets([(place.topic, place.partition) for place in places]).values())
    messages: list[tuple[str, int, bytes]] = []

    def all_read() -> bool:
        for message in consumer.consume(1_000, 0.5):
            messages.append((message.topic() or "", message.partition() or 0, message.value() or b""))
        return len(messages) >= total

    wait_until(all_read, timeout=SECONDS, what=f"{total} messages")
    consumer.close()
    return messages


@pytest.mark.usefixtures("running_system")
def test_from_the_form_to_a_valid_token(mailbox: Mailbox, kafka: str) -> None:
    """Two paid and three normal people enrol, one of them twice; a doubtful form waits."""
    api = APIClient()
    forms = [make_paid_form(), make_paid_form(), make_form(), make_form(), make_form()]
    posted = [api.post(URL, form, format="json").json() for form in [*forms, forms[-1]]]
    doubtful = api.post(URL, make_form(nombre="Rosa"), format="json").json()
    tokens: list[str] = []
    for form in forms:
        [mail] = mailbox.wait_for(to=form["email"], subject="Tus credenciales de MAMOCHI", timeout=SECONDS)
        tokens += set(re.findall(r"mmc_[0-9a-f]{64}", mail.text))
    assert len(tokens) == 5
    for token in tokens:
        assert client_with(token).get("/api/v1/tokens/").status_code == 200
    assert {api.get(answer["url"]).json()["estado"] for answer in posted} == {"aprobada"}
    wait_until(lambda: api.get(doubtful["url"]).json()["estado"] == "en_revision", timeout=SECONDS)
    assert Inscripcion.objects.filter(email__in=[form["email"] for form in forms]).count() == 5
    wait_until(lambda: not OutboxMessage.objects.exists(), timeout=SECONDS, what="the relay is done")
    messages = all_messages(kafka)
    assert not [token for token in tokens for _, _, value in messages if token[15:].encode() in value]
    ours = [(partition, value) for _, partition, value in messages if any(f["email"].encode() in value for f in forms)]
    assert {partition for partition, value in ours if b'"paid":true' in value} == {0}
    assert not [value for partition, value in ours if b'"paid":false' in value and partition == 0]
    approvals = [value for topic, _, value in messages if topic == events.MAESTROS.name]
    for form in forms:
        assert len([value for value in approvals if form["email"].encode() in value]) == 1
