"""Sales are looked up by their id, from the topic to the rows."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from deploy.embedded.waiting import wait_until
from kafka_bridge.dead_letters import actions
from kafka_bridge.events.codec import encode
from kafka_bridge.models import DeadLetter
from kafka_bridge.monitoring import due_work
from kafka_bridge.monitoring.lookup.search import look_up
from kafka_bridge.publishing import outbox, producer, relay
from tests.support.consumers import consumer, running
from tests.support.sales import sale, void_of
from ventas.events import VentaRegistrada
from ventas.models import Anulacion, Cuenta, ReporteSemanal, Semana, Venta

PAGE = "/admin/kafka_bridge/lookuppage/"
SECONDS = 60.0


@pytest.fixture
def maestro(transactional_db: None, kafka: str) -> UUID:
    """Create a maestro with an account."""
    call_command("create_topics", verbosity=0)
    maestro = uuid4()
    Cuenta.objects.create(maestro_id=maestro, nombre="Rosa", email="rosa@example.cl", abierta_en=datetime.now(UTC))
    return maestro


def states_of(wanted: UUID, name: str = "contabilidad") -> list[str]:
    """Return the state at the consumer of each event about the id, in the order of acceptance."""
    deliveries = [one for event in look_up(wanted).events for one in event.deliveries]
    return [one.state for one in deliveries if one.consumer == name]


def apply(done: Callable[[], bool]) -> None:
    """Run contabilidad until `done()`."""
    with running(consumer("contabilidad", own_group=True)):
        wait_until(done, SECONDS)


@pytest.mark.slow
def test_sale_is_found_by_its_id(maestro: UUID, admin_client: Client) -> None:
    event = sale(maestro, time=datetime.now(UTC), vendida_en=datetime.now(UTC))
    producer.publish(event)
    [before] = look_up(event.venta_id).events
    assert [one.consumer for one in before.deliveries] == ["contabilidad", "inventario"]
    assert {one.state for one in before.deliveries} == {"todavía no"}
    assert not look_up(event.venta_id).rows
    apply(lambda: Venta.objects.filter(pk=event.id).exists())
    after = look_up(event.venta_id)
    [found] = after.events
    states = {one.consumer: one.state for one in found.deliveries}
    assert states == {"contabilidad": "aplicado", "inventario": "todavía no"}
    assert [row.what for row in after.rows] == ["Venta en el libro"]
    page = admin_client.get(PAGE, {"id": str(event.venta_id)}).text
    assert f"/admin/ventas/venta/{event.id}/change/" in page
    assert "rosa@example.cl" not in page
    [delivery] = [one for one in found.deliveries if one.consumer == "contabilidad"]
    assert delivery.by is not None  # only the offset shows when, at the latest
    assert event.time <= delivery.by <= datetime.now(UTC)
    assert "aplicado, a más tardar el" in page


@pytest.mark.slow
def test_sale_from_the_outbox_to_the_weekly_email(maestro: UUID) -> None:
    event = sale(maestro)
    with transaction.atomic():
        outbox.add(event)
    assert states_of(event.venta_id) == ["espera en el outbox a que Kafka lo reciba"]
    while relay.step():
        pass
    assert states_of(event.venta_id) == ["todavía no"]
    apply(lambda: Venta.objects.filter(pk=event.id).exists())
    void = void_of(event, event.time + timedelta(seconds=1))
    producer.publish(void)
    assert states_of(event.venta_id) == ["aplicado", "todavía no"]
    apply(lambda: Anulacion.objects.filter(pk=void.id, aplicada=True).exists())
    venta = Venta.objects.get(pk=event.id)
    ReporteSemanal.objects.create(
        semana_id=venta.semana_contable, maestro_id=maestro, cantidad_ventas=0, unidades=0, ingresos=0, ganancias=0
    )
    assert states_of(event.venta_id) == ["aplicado", "aplicado"]
    rows = {row.what: row.state for row in look_up(event.venta_id).rows}
    assert rows["Venta en el libro"].endswith("anulada")
    assert (rows["Anulación"], rows["Correo de la semana"]) == ("aplicada", "por enviar")


@pytest.mark.slow
def test_dead_letter_of_a_sale_is_replayed(maestro: UUID) -> None:
    letter, event = dead_letter_of_a_sale(maestro)
    actions.replay(letter.pk, by=actions.Actor("ana", None), value=encode(event).value)
    assert relay.step()
    apply(lambda: Venta.objects.filter(pk=event.id).exists())
    assert states_of(event.venta_id) == ["no lo pudo aplicar (no cumple su esquema): reenviado", "aplicado"]
    assert [found.replay_for for found in look_up(event.venta_id).events] == ["", "contabilidad"]


@pytest.mark.slow
def test_dead_letter_of_a_sale_is_discarded(maestro: UUID) -> None:
    letter, event = dead_letter_of_a_sale(maestro)
    letters = DeadLetter.objects.filter(pk=letter.pk)
    actions.discard_all(letters, by=actions.Actor("ana", None), reason="de prueba", seconds=5)
    assert states_of(event.venta_id) == ["no lo pudo aplicar (no cumple su esquema): descartado"]


def dead_letter_of_a_sale(maestro: UUID) -> tuple[DeadLetter, VentaRegistrada]:
    """Publish a sale of zero units, which contabilidad sets aside; only its payload has its id."""
    event = sale(maestro)
    spoilt = msgspec.structs.replace(encode(event), value=encode(event).value.replace(b'"cantidad":1', b'"cantidad":0'))
    assert not producer.process_producer().send([spoilt])
    own = DeadLetter.objects.filter(state="open", key=spoilt.key)  # other tests leave poison in the topic
    apply(own.exists)
    letter = own.get()
    assert states_of(event.venta_id) == ["no lo pudo aplicar (no cumple su esquema): pendiente"]
    [delivery] = [one for one in look_up(event.venta_id).events[0].deliveries if one.dead_letter]
    assert (delivery.dead_letter, delivery.at) == (letter.pk, letter.created_at)
    return letter, event


def test_lookup_says_when_there_are_too_many_maestros(
    transactional_db: None, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ventas.monitoring.MAESTROS", 1)
    assert not look_up(uuid4()).limitations
    for name in ("Rosa", "Juan"):
        Cuenta.objects.create(maestro_id=uuid4(), nombre=name, email="r@example.cl", abierta_en=datetime.now(UTC))
    [limitation] = look_up(uuid4()).limitations
    assert "hay más" in limitation.where


def test_week_that_is_not_closed_is_due_work(db: None) -> None:
    now = timezone.now()
    Semana.objects.create(lunes=date(2020, 1, 6), hasta=now - timedelta(days=1))
    due = {work.work: work for work in due_work.all_of(now)}
    assert due["cierre"].overdue_s == pytest.approx(86_400)
    assert due["cierre"].overdue_s > due["cierre"].tolerance_s
    assert due["reportes"].overdue_s == 0
