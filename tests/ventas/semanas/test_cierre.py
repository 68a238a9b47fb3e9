"""A week closes when it is complete, once, with everything in it."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from confluent_kafka import KafkaError, KafkaException
from django.db import connection, transaction
from django.db.models import Sum
from django.test import Client
from django.urls import reverse

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.consuming import progress
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import encode
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.publishing import outbox, producer
from tests.ventas.conftest import AHORA, SECONDS, anulacion, contabilidad_corriendo, venta
from ventas import libro
from ventas.models import Cuenta, ReporteSemanal, Semana, Venta
from ventas.semanas import cierre, reports

W46, W47, W48 = date(2026, 11, 9), date(2026, 11, 16), date(2026, 11, 23)
MEDIANOCHE = datetime(2026, 11, 23, 3, tzinfo=UTC)  # W47 ends
DESPUES = MEDIANOCHE + timedelta(minutes=10)


def registrar(*ventas: object) -> None:
    with transaction.atomic():
        libro.registrar(ventas)  # type: ignore[arg-type]


def contabilizar(lunes: date) -> None:
    Semana.objects.bulk_create([Semana.nueva(lunes)], ignore_conflicts=True)
    cierre.contabilizar(lunes, ahora=DESPUES)


@pytest.mark.django_db
def test_a_report_says_what_the_summary_says(maestro_id: UUID, cuenta: Callable[..., Cuenta]) -> None:
    cuenta(maestro_id=maestro_id)
    registrar(venta(maestro_id, cantidad=3), venta(maestro_id, vendida_en=AHORA + timedelta(days=2)))
    esperado = reports.resumen(W47, maestro_id)
    contabilizar(W47)
    reporte = ReporteSemanal.objects.get()
    assert all(getattr(reporte, campo) == getattr(esperado, campo) for campo in reports.TOTALES)
    assert reports.resumen(W47, maestro_id) == esperado
    assert (reporte.semana_id, reporte.maestro_id, reporte.ingresos) == (W47, maestro_id, 8_000)


@pytest.mark.django_db
def test_every_account_gets_a_report_and_so_does_a_maestro_whose_account_is_not_known_yet(
    maestro_id: UUID, cuenta: Callable[..., Cuenta]
) -> None:
    sin_ventas = cuenta()
    cuenta(abierta_en=MEDIANOCHE)  # in the next week: nothing to report yet
    registrar(venta(maestro_id))
    contabilizar(W47)
    reportes = {reporte.maestro_id: reporte for reporte in ReporteSemanal.objects.all()}
    assert set(reportes) == {maestro_id, sin_ventas.maestro_id}
    vacio = reportes[sin_ventas.maestro_id]
    assert (vacio.cantidad_ventas, vacio.ganancias) == (0, 0)


@pytest.mark.django_db
def test_closing_again_changes_nothing(maestro_id: UUID) -> None:
    registrar(venta(maestro_id))
    contabilizar(W47)
    registrar(venta(maestro_id))
    contabilizar(W47)
    assert [reporte.cantidad_ventas for reporte in ReporteSemanal.objects.all()] == [1]
    assert Semana.objects.get(pk=W47).cerrada


@pytest.mark.django_db
def test_a_beat_that_was_off_for_a_month_finds_every_missed_week(maestro_id: UUID) -> None:
    registrar(venta(maestro_id, vendida_en=AHORA - timedelta(days=28)))
    esperadas = [W47 - n * timedelta(days=7) for n in (4, 3, 2, 1, 0)]
    assert cierre.semanas_vencidas(ahora=DESPUES) == esperadas
    assert cierre.semanas_vencidas(ahora=DESPUES) == esperadas


@pytest.mark.django_db
def test_a_new_system_has_no_missed_weeks() -> None:
    assert cierre.semanas_vencidas(ahora=AHORA) == []
    assert list(Semana.objects.values_list("lunes", flat=True)) == [W47]


@pytest.mark.django_db
def test_a_week_waits_for_the_one_before() -> None:
    Semana.nueva(W46).save()
    assert not cierre.cerrar_semana(W47, ahora=DESPUES)
    assert Semana.objects.get(pk=W47).espera == "Espera que se cierre la semana 2026-W46."


@pytest.mark.django_db
def test_requests_that_began_before_midnight_have_time_to_end() -> None:
    assert not cierre.cerrar_semana(W47, ahora=MEDIANOCHE + cierre.MARGEN - timedelta(seconds=1))
    assert Semana.objects.get(pk=W47).espera == "Espera que pase el 23-11-2026 a las 00:00:10."


@pytest.mark.django_db
def test_a_week_waits_for_the_outbox(maestro_id: UUID) -> None:
    outbox.add(venta(maestro_id), venta(maestro_id))
    OutboxMessage.objects.update(created_at=MEDIANOCHE - timedelta(seconds=1))
    assert not cierre.cerrar_semana(W47, ahora=DESPUES)
    assert Semana.objects.get(pk=W47).espera == (
        "Espera que salgan a Kafka mensajes que se aceptaron antes del cierre: 2 de mamochi.ventas."
    )


@pytest.mark.django_db(transaction=True)
def test_what_is_stuck_of_other_topics_does_not_hold_the_accounts_up(topics: None, maestro_id: UUID) -> None:
    outbox.add(venta(maestro_id))
    OutboxMessage.objects.update(topic="mamochi.stock", created_at=MEDIANOCHE - timedelta(seconds=1))
    al_dia()
    assert cierre.cerrar_semana(W47, ahora=DESPUES)


def al_dia(atraso: int = 0, topic_uuid: str = "") -> None:
    """`contabilidad` has applied all that is in its topics but so much of each partition."""
    for topic in consumers["contabilidad"].topics:
        uuid = topic_uuid or progress.topic_uuid(topic.name)
        for partition, end in progress.end_offsets(topic.name).items():
            ConsumerOffset.objects.create(
                consumer="contabilidad",
                topic=topic.name,
                partition=partition,
                next_offset=max(0, end - atraso),
                topic_uuid=uuid,
            )


@pytest.mark.django_db(transaction=True)
def test_offsets_of_a_topic_that_was_made_anew_since_are_not_taken_for_this_ones(
    topics: None, maestro_id: UUID
) -> None:
    producer.publish(venta(maestro_id))
    al_dia(atraso=-1_000, topic_uuid="the one that was deleted")
    assert not cierre.cerrar_semana(W47, ahora=DESPUES)
    assert "contabilidad registre" in Semana.objects.get(pk=W47).espera
    with contabilidad_corriendo():
        wait_until(lambda: cierre.cerrar_semana(W47, ahora=DESPUES), SECONDS)
    assert ReporteSemanal.objects.get(maestro_id=maestro_id).cantidad_ventas == 1


@pytest.mark.django_db(transaction=True)
def test_ends_of_a_topic_that_was_made_anew_since_are_measured_again(topics: None, maestro_id: UUID) -> None:
    producer.publish(venta(maestro_id))
    cierre.cerrar_semana(W47, ahora=DESPUES)
    fines = Semana.objects.get(pk=W47).fines
    assert fines is not None
    fines["mamochi.ventas"] = {"topico": "the one that was deleted", "fines": {"0": 10**9}}
    Semana.objects.update(fines=fines)
    al_dia()
    assert not cierre.cerrar_semana(W47, ahora=DESPUES)
    assert "se rehizo mamochi.ventas" in Semana.objects.get(pk=W47).espera
    assert cierre.cerrar_semana(W47, ahora=DESPUES)


@pytest.mark.django_db
@pytest.mark.parametrize("pregunta", ["end_offsets", "topic_uuids"])
def test_a_week_waits_for_kafka_while_a_partition_has_no_leader(monkeypatch: pytest.MonkeyPatch, pregunta: str) -> None:
    def no_leader(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))

    monkeypatch.setattr(client, "topic_uuids", lambda names: dict.fromkeys(names, "u"))
    monkeypatch.setattr(client, pregunta, no_leader)
    assert not cierre.cerrar_semana(W47, ahora=DESPUES)
    semana = Semana.objects.get(pk=W47)
    assert semana.espera.startswith("Espera a Kafka")
    assert (semana.fines, semana.estado) == (None, "abierta")


@pytest.mark.django_db
def test_who_looked_before_another_closed_the_week_leaves_no_note_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed_meanwhile(*_: object) -> str:
        cierre.contabilizar(W47, ahora=DESPUES)
        return "Espera que contabilidad registre 1 mensajes"

    monkeypatch.setattr(cierre, "_que_espera", closed_meanwhile)
    cierre.cerrar_semana(W47, ahora=DESPUES)
    assert Semana.objects.get(pk=W47).espera == ""


@pytest.mark.django_db
@pytest.mark.parametrize("hasta", [MEDIANOCHE + timedelta(seconds=1), datetime(2026, 11, 16, 2, 59, tzinfo=UTC)])
def test_a_boundary_outside_of_the_week_is_refused(hasta: datetime) -> None:
    with pytest.raises(ValueError, match="outside of the week"):
        cierre.cerrar_semana(W47, ahora=DESPUES, hasta=hasta)


@pytest.mark.django_db
def test_open_dead_letters_are_named_and_do_not_block() -> None:
    DeadLetter.objects.create(
        consumer="contabilidad",
        topic="t",
        partition=0,
        offset=1,
        headers=[],
        message_at=AHORA,
        reason="schema",
        attempts=1,
    )
    contabilizar(W47)
    assert "1 mensajes que contabilidad no pudo registrar" in Semana.objects.get(pk=W47).advertencia


@pytest.mark.django_db(transaction=True)
def test_a_week_waits_for_contabilidad_as_the_admin_says_and_closes_with_everything_in_it(
    topics: None, maestro_id: UUID, admin_client: Client
) -> None:
    al_dia()  # before these sales
    ventas = [venta(maestro_id) for _ in range(25)]
    producer.publish(*ventas)
    assert not cierre.cerrar_semana(W47, ahora=DESPUES)  # contabilidad is not running
    particion = encode(ventas[0]).partition
    pagina = admin_client.get(reverse("admin:ventas_semana_changelist")).content.decode()
    assert "cerrándose" in pagina
    assert (
        f"Espera que contabilidad registre 25 mensajes: 25 de mamochi.ventas[{particion}]. ¿Está corriendo?" in pagina
    )
    with contabilidad_corriendo():
        wait_until(lambda: cierre.cerrar_semana(W47, ahora=DESPUES), SECONDS)
    assert ReporteSemanal.objects.get(maestro_id=maestro_id).cantidad_ventas == 25
    pagina = admin_client.get(reverse("admin:ventas_semana_changelist")).content.decode()
    assert "Espera que" not in pagina
    assert "cerrada" in pagina
    assert "$50.000" in pagina


@pytest.mark.django_db(transaction=True)
def test_an_early_closing_leaves_later_sales_to_the_next_week(topics: None, maestro_id: UUID) -> None:
    producer.publish(venta(maestro_id))
    with contabilidad_corriendo():
        ahora = AHORA + timedelta(minutes=1)
        wait_until(lambda: cierre.cerrar_semana(W47, ahora=ahora + cierre.MARGEN, hasta=ahora), SECONDS)
        tarde = venta(maestro_id, vendida_en=AHORA + timedelta(days=1))
        producer.publish(tarde, anulacion(tarde), venta(maestro_id, cantidad=2))
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id).count() == 3, SECONDS)
    assert ReporteSemanal.objects.get(maestro_id=maestro_id).ingresos == 2_000
    assert reports.resumen(W48, maestro_id).ajuste_ingresos == 4_000
    assert Semana.objects.get(pk=W47).hasta == ahora


@pytest.mark.django_db(transaction=True)
def test_no_sale_is_lost_between_a_closing_and_a_batch_at_the_same_moment(maestro_id: UUID) -> None:
    for vuelta in range(20):
        lunes = W47 + vuelta * timedelta(days=7)
        Semana.nueva(lunes).save()
        vendida = AHORA + vuelta * timedelta(days=7)
        begun = threading.Event()

        def batch(vendida: datetime = vendida, begun: threading.Event = begun) -> None:
            with transaction.atomic():
                libro.registrar([venta(maestro_id, vendida_en=vendida)])
                begun.set()
                libro.registrar([venta(maestro_id, vendida_en=vendida) for _ in range(50)])
            connection.close()

        thread = threading.Thread(target=batch)
        thread.start()
        assert begun.wait(SECONDS)
        cierre.contabilizar(lunes, ahora=DESPUES)
        thread.join(SECONDS)
        assert ReporteSemanal.objects.get(semana=lunes).cantidad_ventas == 51
    assert ReporteSemanal.objects.aggregate(total=Sum("cantidad_ventas")) == {"total": Venta.objects.count()}


@pytest.mark.django_db
def test_after_a_restore_the_mails_of_weeks_that_close_again_are_held(cuenta: Callable[..., Cuenta]) -> None:
    registrar(venta(cuenta().maestro_id))
    assert cierre.retener_correos(ahora=DESPUES) == 1
    contabilizar(W47)
    reporte = ReporteSemanal.objects.get()
    assert (reporte.envio, reporte.respuesta) == ("fallido", reports.RETENIDO)
    registrar(venta(reporte.maestro_id, vendida_en=DESPUES))
    contabilizar(W48)
    assert ReporteSemanal.objects.get(semana=W48).envio == "pendiente"
