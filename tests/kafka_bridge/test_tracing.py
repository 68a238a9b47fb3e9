"""Following one event: applied, not yet, in the outbox, a dead letter, unknown; without Kafka; and a real sale by its id."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from confluent_kafka.admin import AdminClient
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge import broker, outbox, producer, traceparent, tracing
from kafka_bridge.handlers import consumers
from kafka_bridge.models import DeadLetter
from kafka_bridge.runner import Runner
from kafka_bridge.tracing import Clue, Found, Ids, Row, Trace
from tests.kafka_bridge.conftest import SECONDS, Bench
from ventas.events import VentaRegistrada
from ventas.models import Cuenta, Venta
from ventas.seed import sembrar_catalogo

PAGE = "/admin/kafka_bridge/rastro/"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setitem(consumers, bench.consumer.name, bench.consumer)
    call_command("create_topics", verbosity=0)
    return bench


def only(trace: Trace) -> Found:
    [event] = trace.events
    return event


def state_of(trace: Trace, bench: Bench) -> tuple[str, int]:
    [delivery] = only(trace).deliveries
    assert delivery.consumer == bench.consumer.name
    return delivery.state, delivery.ahead


def test_an_event_that_nobody_has_applied_yet_tells_how_many_are_ahead_of_it(known: Bench) -> None:
    known.publish(1, 2, key="same")
    event = known.happened(3, "same")
    with traceparent.continued(TRACE_ID):
        producer.publish(event)
    trace = tracing.follow(event.id)
    found = only(trace)
    assert (found.id, found.type, found.trace_id, found.offset) == (str(event.id), known.event.type, TRACE_ID, 2)
    assert (found.topic, found.partition) == (known.topic.name, known.topic.partition_for("same", priority=False))
    assert state_of(trace, known) == ("todavía no", 2)


def test_an_applied_event_is_found_where_its_row_says_it_must_be(known: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    event, other = known.happened(1, "same"), known.happened(2, "same")
    producer.publish(event, other)
    with known.running(known.runner()):
        wait_until(lambda: len(known.rows()) == 2, SECONDS)

    def seguir(ids: Ids) -> Iterator[Clue | Row]:
        if event.id in ids:
            yield Clue(id=event.id, event=known.event, key="same", near=event.time)
            yield Row(what="Fila", state="escrita", at=event.time)

    monkeypatch.setattr(tracing, "tracers", [seguir])
    trace = tracing.follow(event.id)
    assert (only(trace).offset, state_of(trace, known)) == (0, ("aplicado", 0))
    assert [row.what for row in trace.rows] == ["Fila"]
    assert not trace.unfound


def test_an_event_in_the_outbox_says_that_it_waits_for_kafka(known: Bench) -> None:
    event = known.happened(1)
    with transaction.atomic():
        outbox.add(event)
    trace = tracing.follow(event.id)
    assert only(trace).place == ""
    assert state_of(trace, known) == ("espera en el outbox a que Kafka lo reciba", 0)


def test_a_dead_letter_says_whose_and_why(known: Bench, admin_client: Client) -> None:
    known.poison = {1}
    event = known.happened(1)
    producer.publish(event)
    with known.running(known.runner()):
        wait_until(DeadLetter.objects.exists, SECONDS)
    trace = tracing.follow(event.id)
    assert state_of(trace, known) == ("no lo pudo aplicar (el consumidor falló): pendiente", 0)
    letter = DeadLetter.objects.get()
    assert f"/admin/kafka_bridge/deadletter/{letter.pk}/change/" in admin_client.get(PAGE, {"id": event.id}).text


def test_an_id_that_nobody_knows_is_said_to_be_unknown(known: Bench, admin_client: Client) -> None:
    assert tracing.follow(uuid4()).unknown
    assert "No hay nada con ese id" in admin_client.get(PAGE, {"id": str(uuid4())}).text
    assert "Eso no es un id" in admin_client.get(PAGE, {"id": "12.345.678-5"}).text


def test_without_kafka_what_is_stored_is_told_at_once(
    known: Bench, monkeypatch: pytest.MonkeyPatch, admin_client: Client
) -> None:
    event = known.happened(1)
    with transaction.atomic():
        outbox.add(event)
    lonely = AdminClient({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, logger=broker.client_logger)
    monkeypatch.setattr(broker, "admin", lambda: lonely)
    began = time.monotonic()
    page = admin_client.get(PAGE, {"id": str(event.id)}).text
    assert time.monotonic() - began < 2
    assert "Kafka no responde" in page
    assert "En el outbox desde" in page


def test_the_look_into_kafka_is_bounded(known: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MESSAGES", 100)
    known.publish(*range(2_000))
    began = time.monotonic()
    trace = tracing.follow(uuid4())
    assert trace.unknown
    assert time.monotonic() - began < tracing.KAFKA_SECONDS + 1


def test_a_sale_is_followed_from_the_topic_to_the_rows_by_the_id_its_maestro_got(
    transactional_db: None, kafka: str, admin_client: Client
) -> None:
    call_command("create_topics", verbosity=0)
    sembrar_catalogo()
    maestro, venta_id = uuid4(), uuid4()
    event = sale(maestro, venta_id)
    producer.publish(event)
    before = tracing.follow(venta_id)
    assert [one.consumer for one in only(before).deliveries] == ["contabilidad", "inventario"]
    assert {one.state for one in only(before).deliveries} == {"todavía no"}
    assert not before.rows
    Cuenta.objects.create(maestro_id=maestro, nombre="Rosa", email="rosa@example.cl", abierta_en=datetime.now(UTC))
    apply(lambda: Venta.objects.filter(pk=event.id).exists())
    after = tracing.follow(venta_id)
    states = {one.consumer: one.state for one in only(after).deliveries}
    assert states == {"contabilidad": "aplicado", "inventario": "todavía no"}
    assert [row.what for row in after.rows] == ["Venta en el libro"]
    page = admin_client.get(PAGE, {"id": str(venta_id)}).text
    assert f"/admin/ventas/venta/{event.id}/change/" in page
    assert "rosa@example.cl" not in page


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
