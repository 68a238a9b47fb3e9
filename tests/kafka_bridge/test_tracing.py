"""Following one event: applied, not yet, in the outbox, a dead letter, unknown; without Kafka; and a real sale by its id."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from confluent_kafka.admin import AdminClient
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.dead_letters import actions
from kafka_bridge.events.codec import encode
from kafka_bridge.models import ConsumerOffset, DeadLetter
from kafka_bridge.monitoring.lookup import kafka as lookup_kafka
from kafka_bridge.monitoring.lookup import result
from kafka_bridge.monitoring.lookup.registry import Clue, Ids, Row
from kafka_bridge.monitoring.lookup.result import Found, Trace
from kafka_bridge.publishing import outbox, producer, relay
from kafka_bridge.telemetry import traceparent
from tests.support.sandbox import SECONDS, Sandbox
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Anulacion, Cuenta, ReporteSemanal, Venta
from ventas.seed import sembrar_catalogo

PAGE = "/admin/kafka_bridge/rastro/"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def known(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setitem(consumers, sandbox.consumer.name, sandbox.consumer)
    call_command("create_topics", verbosity=0)
    return sandbox


def only(trace: Trace) -> Found:
    [event] = trace.events
    return event


def state_of(trace: Trace, sandbox: Sandbox) -> tuple[str, int]:
    [delivery] = only(trace).deliveries
    assert delivery.consumer == sandbox.consumer.name
    return delivery.state, delivery.ahead


def test_an_event_that_nobody_has_applied_yet_tells_how_many_are_ahead_of_it(known: Sandbox) -> None:
    known.publish(1, 2, key="same")
    event = known.happened(3, "same")
    with traceparent.continued(TRACE_ID):
        producer.publish(event)
    trace = result.follow(event.id)
    found = only(trace)
    assert (found.id, found.type, found.trace_id, found.offset) == (str(event.id), known.event.type, TRACE_ID, 2)
    assert (found.topic, found.partition) == (known.topic.name, known.topic.partition_for("same", priority=False))
    assert state_of(trace, known) == ("todavía no", 2)


def test_an_applied_event_is_found_where_its_row_says_it_must_be(
    known: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, other = known.happened(1, "same"), known.happened(2, "same")
    producer.publish(event, other)
    with known.running(known.runner()):
        wait_until(lambda: len(known.rows()) == 2, SECONDS)

    def seguir(ids: Ids) -> Iterator[Clue | Row]:
        if event.id in ids:
            yield Clue(id=event.id, event=known.event, key="same", near=event.time)
            yield Row(what="Fila", state="escrita", at=event.time)

    monkeypatch.setattr(result, "tracers", [seguir])
    trace = result.follow(event.id)
    assert (only(trace).offset, state_of(trace, known)) == (0, ("aplicado", 0))
    assert [row.what for row in trace.rows] == ["Fila"]
    assert not trace.unfound


def test_an_event_in_the_outbox_says_that_it_waits_for_kafka(known: Sandbox) -> None:
    event = known.happened(1)
    with transaction.atomic():
        outbox.add(event)
    trace = result.follow(event.id)
    assert only(trace).place == ""
    assert state_of(trace, known) == ("espera en el outbox a que Kafka lo reciba", 0)


def test_a_dead_letter_says_whose_and_why(known: Sandbox, admin_client: Client) -> None:
    known.poison = {1}
    event = known.happened(1)
    producer.publish(event)
    with known.running(known.runner()):
        wait_until(DeadLetter.objects.exists, SECONDS)
    trace = result.follow(event.id)
    assert state_of(trace, known) == ("no lo pudo aplicar (el consumidor falló): pendiente", 0)
    letter = DeadLetter.objects.get()
    assert f"/admin/kafka_bridge/deadletter/{letter.pk}/change/" in admin_client.get(PAGE, {"id": event.id}).text


def test_an_id_that_nobody_knows_is_said_to_be_unknown(known: Sandbox, admin_client: Client) -> None:
    assert result.follow(uuid4()).unknown
    assert "No hay nada con ese id" in admin_client.get(PAGE, {"id": str(uuid4())}).text
    assert "Eso no es un id" in admin_client.get(PAGE, {"id": "12.345.678-5"}).text


def test_without_kafka_what_is_stored_is_told_at_once(
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


def test_the_look_into_kafka_is_bounded_and_says_so(
    known: Sandbox, monkeypatch: pytest.MonkeyPatch, admin_client: Client
) -> None:
    monkeypatch.setattr(result, "MESSAGES", 100)
    known.publish(*range(2_000))
    began = time.monotonic()
    trace = result.follow(uuid4())
    assert trace.unknown
    assert time.monotonic() - began < lookup_kafka.KAFKA_SECONDS + 1
    assert trace.gaps == [lookup_kafka.CUT_KAFKA]
    page = admin_client.get(PAGE, {"id": str(uuid4())}).text
    assert "la búsqueda quedó corta" in page
    assert "No hay nada con ese id" not in page


def test_beyond_the_maestros_that_are_tried_the_look_is_said_to_be_short(
    known: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ventas.monitoring.MAESTROS", 1)
    assert not result.follow(uuid4()).gaps
    for name in ("Rosa", "Juan"):
        Cuenta.objects.create(maestro_id=uuid4(), nombre=name, email="r@example.cl", abierta_en=datetime.now(UTC))
    [gap] = result.follow(uuid4()).gaps
    assert "hay más" in gap.where


def test_of_a_long_outbox_the_newest_are_looked_at_and_that_is_said(
    known: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "MESSAGES", 3)
    events = [known.happened(n) for n in range(5)]
    with transaction.atomic():
        outbox.add(*events)
    assert result.CUT_ROWS in result.follow(events[0].id).gaps
    assert result.follow(events[0].id).unknown
    assert only(result.follow(events[4].id)).place == ""


def test_a_topic_made_anew_forgets_what_was_applied_of_the_one_before(known: Sandbox) -> None:
    event = known.happened(1, "same")
    producer.publish(event)
    with known.running(known.runner()):
        wait_until(lambda: known.rows() == [1], SECONDS)
    DeadLetter.objects.create(
        consumer=known.consumer.name, topic=known.topic.name, topic_uuid="another", offset=0,
        partition=known.topic.partition_for("same", priority=False), headers=[["ce_id", str(event.id)]],
        message_at=datetime.now(UTC), reason="handler", error="", attempts=1,
    )  # fmt: skip
    ConsumerOffset.objects.filter(consumer=known.consumer.name).update(topic_uuid="another")
    states = sorted(
        (found.topic_uuid == "another", found.deliveries[0].state) for found in result.follow(event.id).events
    )
    assert states == [(False, "todavía no"), (True, "no lo pudo aplicar (el consumidor falló): pendiente")]


def test_a_sale_is_followed_from_the_topic_to_the_rows_by_the_id_its_maestro_got(
    transactional_db: None, kafka: str, admin_client: Client
) -> None:
    call_command("create_topics", verbosity=0)
    sembrar_catalogo()
    maestro, venta_id = uuid4(), uuid4()
    event = sale(maestro, venta_id)
    producer.publish(event)
    before = result.follow(venta_id)
    assert [one.consumer for one in only(before).deliveries] == ["contabilidad", "inventario"]
    assert {one.state for one in only(before).deliveries} == {"todavía no"}
    assert not before.rows
    Cuenta.objects.create(maestro_id=maestro, nombre="Rosa", email="rosa@example.cl", abierta_en=datetime.now(UTC))
    apply(lambda: Venta.objects.filter(pk=event.id).exists())
    after = result.follow(venta_id)
    states = {one.consumer: one.state for one in only(after).deliveries}
    assert states == {"contabilidad": "aplicado", "inventario": "todavía no"}
    assert [row.what for row in after.rows] == ["Venta en el libro"]
    page = admin_client.get(PAGE, {"id": str(venta_id)}).text
    assert f"/admin/ventas/venta/{event.id}/change/" in page
    assert "rosa@example.cl" not in page
    [delivery] = [one for one in only(after).deliveries if one.consumer == "contabilidad"]
    assert delivery.by is not None  # the offset says when at the latest
    assert event.time <= delivery.by <= datetime.now(UTC)
    assert "aplicado, a más tardar el" in page


@pytest.fixture
def books(transactional_db: None, kafka: str) -> UUID:
    """A catalogue, and a maestro with an account."""
    call_command("create_topics", verbosity=0)
    sembrar_catalogo()
    maestro = uuid4()
    Cuenta.objects.create(maestro_id=maestro, nombre="Rosa", email="rosa@example.cl", abierta_en=datetime.now(UTC))
    return maestro


def states_of(wanted: UUID, consumer: str = "contabilidad") -> list[str]:
    """Of each event about it, in the order of acceptance."""
    deliveries = [one for event in result.follow(wanted).events for one in event.deliveries]
    return [one.state for one in deliveries if one.consumer == consumer]


def test_a_sale_in_the_outbox_then_applied_voided_and_in_its_weekly_mail(books: UUID) -> None:
    venta_id = uuid4()
    event = sale(books, venta_id)
    with transaction.atomic():
        outbox.add(event)
    assert states_of(venta_id) == ["espera en el outbox a que Kafka lo reciba"]
    while relay.step():
        pass
    assert states_of(venta_id) == ["todavía no"]
    apply(lambda: Venta.objects.filter(pk=event.id).exists())
    void = VentaAnulada.now(id=VentaAnulada.derive_id(books, venta_id), venta_id=venta_id, maestro_id=books, motivo="")
    producer.publish(void)
    assert states_of(venta_id) == ["aplicado", "todavía no"]
    apply(lambda: Anulacion.objects.filter(pk=void.id, aplicada=True).exists())
    venta = Venta.objects.get(pk=event.id)
    ReporteSemanal.objects.create(
        semana_id=venta.semana_contable, maestro_id=books, cantidad_ventas=0, unidades=0, ingresos=0, ganancias=0
    )
    assert states_of(venta_id) == ["aplicado", "aplicado"]
    rows = {row.what: row.state for row in result.follow(venta_id).rows}
    assert rows["Venta en el libro"].endswith("anulada")
    assert (rows["Anulación"], rows["Correo de la semana"]) == ("aplicada", "por enviar")


def test_a_sale_that_became_a_dead_letter_then_replayed_and_one_that_was_discarded(books: UUID) -> None:
    """By the sale's own id: its payload is all that tells it."""
    for venta_id, resolve in ((uuid4(), "replay"), (uuid4(), "discard")):
        event = sale(books, venta_id)
        spoilt = replace(encode(event), value=encode(event).value.replace(b'"cantidad":1', b'"cantidad":0'))
        assert not producer.process_producer().deliver([spoilt])
        own = DeadLetter.objects.filter(state="open", key=spoilt.key)  # other tests have left poison in the topic
        apply(own.exists)
        letter = own.get()
        assert states_of(venta_id) == ["no lo pudo aplicar (no cumple su esquema): pendiente"]
        [delivery] = [one for one in result.follow(venta_id).events[0].deliveries if one.dead_letter]
        assert (delivery.dead_letter, delivery.at) == (letter.pk, letter.created_at)
        by = actions.Actor("ana", None)
        if resolve == "replay":
            actions.replay(letter.pk, by=by, value=encode(event).value)
            assert relay.step()
            apply(lambda event=event: Venta.objects.filter(pk=event.id).exists())  # type: ignore[misc]
            assert states_of(venta_id) == ["no lo pudo aplicar (no cumple su esquema): reenviado", "aplicado"]
            assert [found.replay_for for found in result.follow(venta_id).events] == ["", "contabilidad"]
        else:
            actions.discard_all(DeadLetter.objects.filter(pk=letter.pk), by=by, reason="de prueba", seconds=5)
            assert states_of(venta_id) == ["no lo pudo aplicar (no cumple su esquema): descartado"]


def sale(maestro: UUID, venta_id: UUID) -> VentaRegistrada:
    return VentaRegistrada.now(
        id=VentaRegistrada.derive_id(maestro, venta_id), venta_id=venta_id, maestro_id=maestro, producto="mediano",
        cantidad=1, precio_unitario=2_000, costo_unitario=610, insumos={"mote": 150}, vendida_en=datetime.now(UTC),
    )  # fmt: skip


def apply(done: Callable[[], bool]) -> None:
    """Runs contabilidad until `done()`."""
    runner = Runner(consumers["contabilidad"], stop=threading.Event(), group=f"trace-{uuid4()}")
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        wait_until(done, SECONDS)
    finally:
        runner.stop.set()
        thread.join(SECONDS)
