import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from django.db import transaction
from django.test import Client

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.models import ConsumerOffset, DeadLetter
from kafka_bridge.monitoring.lookup import database, kafka
from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Ids, Row, lookups
from kafka_bridge.monitoring.lookup.result import FoundEvent, Lookup
from kafka_bridge.monitoring.lookup.search import look_up
from kafka_bridge.publishing import outbox, producer
from kafka_bridge.telemetry import traceparent
from tests.support.sandbox import SECONDS, Sandbox

PAGE = "/admin/kafka_bridge/lookuppage/"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def only(found: Lookup) -> FoundEvent:
    [event] = found.events
    return event


def state_of(found: Lookup, sandbox: Sandbox) -> tuple[str, int | None]:
    [delivery] = only(found).deliveries
    assert delivery.consumer == sandbox.consumer.name
    return delivery.state, delivery.ahead


def test_waiting_event_has_messages_ahead(known: Sandbox) -> None:
    known.publish(1, 2, key="same")
    event = known.happened(3, "same")
    with traceparent.continued(TRACE):
        producer.publish(event)
    lookup = look_up(event.id)
    found = only(lookup)
    assert (found.id, found.type, found.trace_id, found.offset) == (str(event.id), known.event.type, TRACE, 2)
    assert (found.topic, found.partition) == (known.topic.name, known.topic.partition_for("same", priority=False))
    assert state_of(lookup, known) == ("todavía no", 2)


def test_applied_event_is_found_by_its_row(known: Sandbox) -> None:
    event, other = known.happened(1, "same"), known.happened(2, "same")
    producer.publish(event, other)
    with known.running(known.runner()):
        wait_until(lambda: len(known.rows()) == 2, SECONDS)

    def rows(ids: Ids) -> Iterator[ExpectedEvent | Row]:
        if event.id in ids:
            yield ExpectedEvent(id=event.id, event=known.event, key="same", near=event.time)
            yield Row(what="Fila", state="escrita", at=event.time)

    with lookups.override(rows):
        found = look_up(event.id)
    assert (only(found).offset, state_of(found, known)) == (0, ("aplicado", None))
    assert [row.what for row in found.rows] == ["Fila"]
    assert not found.missing


def test_event_in_the_outbox_waits_for_kafka(known: Sandbox) -> None:
    event = known.happened(1)
    with transaction.atomic():
        outbox.add(event)
    found = look_up(event.id)
    assert only(found).place == ""
    assert state_of(found, known) == ("espera en el outbox a que Kafka lo reciba", None)


def test_dead_letter_names_consumer_and_reason(known: Sandbox, admin_client: Client) -> None:
    known.poison = {1}
    event = known.happened(1)
    producer.publish(event)
    with known.running(known.runner()):
        wait_until(DeadLetter.objects.exists, SECONDS)
    found = look_up(event.id)
    assert state_of(found, known) == ("no lo pudo aplicar (el consumidor falló): pendiente", None)
    letter = DeadLetter.objects.get()
    assert f"/admin/kafka_bridge/deadletter/{letter.pk}/change/" in admin_client.get(PAGE, {"id": event.id}).text


def test_unknown_id_and_malformed_id(known: Sandbox, admin_client: Client) -> None:
    assert look_up(uuid4()).is_empty
    assert "No hay nada con ese id" in admin_client.get(PAGE, {"id": str(uuid4())}).text
    assert "No hay nada con ese id" in admin_client.get(PAGE, {"id": f"\u202a{uuid4()}\u202c\xa0"}).text
    assert "Eso no es un id" in admin_client.get(PAGE, {"id": "12.345.678-5"}).text


def test_without_kafka_the_page_shows_what_is_stored(
    known: Sandbox, monkeypatch: pytest.MonkeyPatch, admin_client: Client
) -> None:
    event = known.happened(1)
    with transaction.atomic():
        outbox.add(event)
    lonely = AdminClient({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, logger=client.client_logger)
    monkeypatch.setattr(client, "admin", lambda: lonely)
    began = time.monotonic()
    page = admin_client.get(PAGE, {"id": str(event.id)}).text
    assert time.monotonic() - began < 2
    assert "Kafka no responde" in page
    assert "En el outbox desde" in page


def test_scan_of_kafka_is_bounded(known: Sandbox, monkeypatch: pytest.MonkeyPatch, admin_client: Client) -> None:
    monkeypatch.setattr(kafka, "MAX_MESSAGES", 100)
    known.publish(*range(2_000))
    began = time.monotonic()
    found = look_up(uuid4())
    assert found.is_empty
    assert time.monotonic() - began < kafka.SCAN_SECONDS + 1
    [limitation] = found.limitations
    assert limitation.where == "en Kafka hay más mensajes por aplicar de los que se alcanzan a mirar"
    page = admin_client.get(PAGE, {"id": str(uuid4())}).text
    assert "la búsqueda quedó corta" in page
    assert "No hay nada con ese id" not in page


def test_of_a_long_outbox_the_newest_are_searched(known: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAX_ROWS", 3)
    events = [known.happened(n) for n in range(5)]
    with transaction.atomic():
        outbox.add(*events)
    oldest = look_up(events[0].id)
    assert oldest.is_empty
    where = "solo se miró en los 3 más nuevos del outbox y de los no procesados"
    assert where in {limitation.where for limitation in oldest.limitations}
    assert only(look_up(events[4].id)).place == ""


def test_recreated_topic_forgets_what_was_applied(known: Sandbox) -> None:
    event = known.happened(1, "same")
    producer.publish(event)
    with known.running(known.runner()):
        wait_until(lambda: known.rows() == [1], SECONDS)
    DeadLetter.objects.create(
        consumer=known.consumer.name,
        topic=known.topic.name,
        topic_uuid="another",
        offset=0,
        partition=known.topic.partition_for("same", priority=False),
        headers=[["ce_id", str(event.id)]],
        message_at=datetime.now(UTC),
        reason="handler",
        error="",
        attempts=1,
    )
    ConsumerOffset.objects.filter(consumer=known.consumer.name).update(topic_uuid="another")
    states = sorted((found.topic_uuid == "another", found.deliveries[0].state) for found in look_up(event.id).events)
    assert states == [(False, "todavía no"), (True, "no lo pudo aplicar (el consumidor falló): pendiente")]
