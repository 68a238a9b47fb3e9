"""A week closes once, when it is complete, with everything in it."""

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import KafkaError, KafkaException
from django.db import connection, transaction
from django.db.models import Sum
from django.test import Client
from django.urls import reverse

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.consuming import progress
from kafka_bridge.events.codec import encode
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.publishing import outbox, producer
from tests.support import transactions
from tests.support.consumers import consumer, running
from tests.support.sales import NOW, W46, W47, W48, account, close, enter, sale, void_of
from ventas import libro
from ventas.models import ReporteSemanal, Semana, Venta
from ventas.semanas import cierre, reports

SECONDS = 60.0  # contabilidad reads what other tests have sold, too
MIDNIGHT = datetime(2026, 11, 23, 3, tzinfo=UTC)  # W47 ends
AFTERWARDS = MIDNIGHT + timedelta(minutes=10)


def waits_for(lunes: date = W47) -> str:
    return Semana.objects.get(pk=lunes).espera


def catch_up(*, short_by: int = 0, topic_uuid: str = "") -> None:
    """Store that `contabilidad` has applied all but the last messages of each partition."""
    for topic in progress.topic_names("contabilidad"):
        ends = progress.topic_ends(topic)
        for partition, end in ends.offsets.items():
            ConsumerOffset.objects.create(
                consumer="contabilidad",
                topic=topic,
                partition=partition,
                next_offset=max(0, end - short_by),
                topic_uuid=topic_uuid or ends.topic_uuid,
            )


@pytest.mark.django_db
def test_a_report_equals_the_summary(maestro_id: UUID) -> None:
    account(maestro_id=maestro_id)
    enter(sale(maestro_id, cantidad=3), sale(maestro_id, vendida_en=NOW + timedelta(days=2)))
    expected = reports.resumen(W47, maestro_id)
    close(W47)
    reporte = ReporteSemanal.objects.get()
    assert all(getattr(reporte, field) == getattr(expected, field) for field in reports.TOTALES)
    assert reports.resumen(W47, maestro_id) == expected
    assert (reporte.semana_id, reporte.maestro_id, reporte.ingresos) == (W47, maestro_id, 8_000)


@pytest.mark.django_db
def test_accounts_and_sellers_get_a_report(maestro_id: UUID) -> None:
    """A seller's account may not be known yet; an account may have no sales."""
    without_sales = account()
    account(abierta_en=MIDNIGHT)  # opened in the next week: nothing to report yet
    enter(sale(maestro_id))
    close(W47)
    reportes = {reporte.maestro_id: reporte for reporte in ReporteSemanal.objects.all()}
    assert set(reportes) == {maestro_id, without_sales.maestro_id}
    empty = reportes[without_sales.maestro_id]
    assert (empty.cantidad_ventas, empty.ganancias) == (0, 0)


@pytest.mark.django_db
def test_closing_again_changes_nothing(maestro_id: UUID) -> None:
    enter(sale(maestro_id))
    close(W47)
    enter(sale(maestro_id))
    close(W47)
    assert [reporte.cantidad_ventas for reporte in ReporteSemanal.objects.all()] == [1]
    assert Semana.objects.get(pk=W47).cerrada


@pytest.mark.django_db
def test_every_missed_week_is_due(maestro_id: UUID) -> None:
    enter(sale(maestro_id, vendida_en=NOW - timedelta(days=28)))
    expected = [W47 - n * timedelta(days=7) for n in (4, 3, 2, 1, 0)]
    assert cierre.semanas_vencidas(ahora=AFTERWARDS) == expected
    assert cierre.semanas_vencidas(ahora=AFTERWARDS) == expected


@pytest.mark.django_db
def test_a_new_system_has_missed_no_week() -> None:
    assert cierre.semanas_vencidas(ahora=NOW) == []
    assert list(Semana.objects.values_list("lunes", flat=True)) == [W47]


@pytest.mark.django_db
def test_a_week_waits_for_the_one_before() -> None:
    Semana.nueva(W46).save()
    assert not cierre.cerrar_semana(W47, ahora=AFTERWARDS)
    assert waits_for() == "Espera que se cierre la semana 2026-W46."


@pytest.mark.django_db
def test_a_week_waits_for_running_requests() -> None:
    assert not cierre.cerrar_semana(W47, ahora=MIDNIGHT + cierre.GRACE - timedelta(seconds=1))
    assert waits_for() == "Espera que pase el 23-11-2026 a las 00:00:10."


@pytest.mark.django_db
def test_a_week_waits_for_the_outbox(maestro_id: UUID) -> None:
    outbox.add(sale(maestro_id), sale(maestro_id))
    OutboxMessage.objects.update(created_at=MIDNIGHT - timedelta(seconds=1))
    assert not cierre.cerrar_semana(W47, ahora=AFTERWARDS)
    assert waits_for() == ("Espera que salgan a Kafka mensajes que se aceptaron antes del cierre: 2 de mamochi.ventas.")


@pytest.mark.django_db(transaction=True)
def test_other_topics_do_not_delay_a_week(topics: None, maestro_id: UUID) -> None:
    outbox.add(sale(maestro_id))
    OutboxMessage.objects.update(topic="mamochi.stock", created_at=MIDNIGHT - timedelta(seconds=1))
    catch_up()
    assert cierre.cerrar_semana(W47, ahora=AFTERWARDS)


@pytest.mark.django_db
@pytest.mark.parametrize(("module", "question"), [(watermarks, "end_offsets"), (topic_admin, "topic_uuids")])
def test_a_week_waits_for_kafka(monkeypatch: pytest.MonkeyPatch, module: Any, question: str) -> None:
    """A partition without a leader has no end offset."""

    def no_leader(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))

    monkeypatch.setattr(topic_admin, "topic_uuids", lambda names, _: dict.fromkeys(names, "u"))
    monkeypatch.setattr(topic_admin, "partitions_of", lambda topic, _: [(topic, 0)])
    monkeypatch.setattr(module, question, no_leader)
    assert not cierre.cerrar_semana(W47, ahora=AFTERWARDS)
    semana = Semana.objects.get(pk=W47)
    assert semana.espera.startswith("Espera a Kafka")
    assert (semana.fines, semana.estado) == (None, "abierta")


@pytest.mark.django_db(transaction=True)
def test_a_week_waits_for_contabilidad(topics: None, maestro_id: UUID, admin_client: Client) -> None:
    catch_up()  # before these sales
    sold = [sale(maestro_id) for _ in range(25)]
    producer.publish(*sold)
    assert not cierre.cerrar_semana(W47, ahora=AFTERWARDS)  # contabilidad is not running
    partition = encode(sold[0]).partition
    page = admin_client.get(reverse("admin:ventas_semana_changelist")).content.decode()
    assert "cerrándose" in page
    assert f"Espera que contabilidad registre 25 mensajes: 25 de mamochi.ventas[{partition}]. ¿Está corriendo?" in page
    with running(consumer("contabilidad", own_group=True)):
        wait_until(lambda: cierre.cerrar_semana(W47, ahora=AFTERWARDS), SECONDS)
    assert ReporteSemanal.objects.get(maestro_id=maestro_id).cantidad_ventas == 25
    page = admin_client.get(reverse("admin:ventas_semana_changelist")).content.decode()
    assert "Espera que" not in page
    assert "cerrada" in page
    assert "$50.000" in page


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_week_waits_for_an_open_transaction(topics: None, maestro_id: UUID) -> None:
    """Two sales that were accepted lie behind it; the week closes with all three."""
    catch_up()
    with (
        running(consumer("contabilidad", own_group=True)),
        transactions.open_transaction(sale(maestro_id)) as other_program,
    ):
        producer.publish(sale(maestro_id), sale(maestro_id))

        def names_the_transaction() -> bool:
            assert not cierre.cerrar_semana(W47, ahora=AFTERWARDS)
            return "Otro programa tiene una transacción abierta en mamochi.ventas[" in waits_for()

        wait_until(names_the_transaction, SECONDS)
        assert "¿Está corriendo?" not in waits_for()
        other_program.commit_transaction(SECONDS)
        wait_until(lambda: cierre.cerrar_semana(W47, ahora=AFTERWARDS), SECONDS)
    assert ReporteSemanal.objects.get(maestro_id=maestro_id).cantidad_ventas == 3


@pytest.mark.django_db(transaction=True)
def test_offsets_of_a_deleted_topic_do_not_count(topics: None, maestro_id: UUID) -> None:
    producer.publish(sale(maestro_id))
    catch_up(short_by=-1_000, topic_uuid="the one that was deleted")
    assert not cierre.cerrar_semana(W47, ahora=AFTERWARDS)
    assert "contabilidad registre" in waits_for()
    with running(consumer("contabilidad", own_group=True)):
        wait_until(lambda: cierre.cerrar_semana(W47, ahora=AFTERWARDS), SECONDS)
    assert ReporteSemanal.objects.get(maestro_id=maestro_id).cantidad_ventas == 1


@pytest.mark.django_db(transaction=True)
def test_ends_of_a_deleted_topic_are_measured_again(topics: None, maestro_id: UUID) -> None:
    producer.publish(sale(maestro_id))
    cierre.cerrar_semana(W47, ahora=AFTERWARDS)
    fines = Semana.objects.get(pk=W47).fines
    assert fines is not None
    fines["mamochi.ventas"] = {"topico": "the one that was deleted", "fines": {"0": 10**9}}
    Semana.objects.update(fines=fines)
    catch_up()
    assert not cierre.cerrar_semana(W47, ahora=AFTERWARDS)
    assert "se rehizo mamochi.ventas" in waits_for()
    assert cierre.cerrar_semana(W47, ahora=AFTERWARDS)


@pytest.mark.django_db
def test_a_closed_week_gets_no_late_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process closes the week while this one finds that it must wait."""

    def closed_meanwhile(*_: object) -> dict[str, int]:
        cierre.contabilizar(W47, ahora=AFTERWARDS)
        return {"mamochi.ventas": 1}

    monkeypatch.setattr(outbox, "older_than", closed_meanwhile)
    cierre.cerrar_semana(W47, ahora=AFTERWARDS)
    assert Semana.objects.get(pk=W47).cerrada
    assert waits_for() == ""


@pytest.mark.django_db
@pytest.mark.parametrize("hasta", [MIDNIGHT + timedelta(seconds=1), datetime(2026, 11, 16, 2, 59, tzinfo=UTC)])
def test_a_boundary_outside_the_week_is_refused(hasta: datetime) -> None:
    with pytest.raises(ValueError, match="outside of the week"):
        cierre.cerrar_semana(W47, ahora=AFTERWARDS, hasta=hasta)


@pytest.mark.django_db
def test_open_dead_letters_are_counted_only() -> None:
    DeadLetter.objects.create(
        consumer="contabilidad",
        topic="t",
        partition=0,
        offset=1,
        headers=[],
        message_at=NOW,
        reason="schema",
        attempts=1,
    )
    close(W47)
    assert "1 mensajes que contabilidad no pudo registrar" in Semana.objects.get(pk=W47).advertencia


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("topics", "from_the_topics_ends")
def test_an_early_closing_leaves_later_sales(maestro_id: UUID) -> None:
    producer.publish(sale(maestro_id))
    with running(consumer("contabilidad", own_group=True)):
        boundary = NOW + timedelta(minutes=1)
        wait_until(lambda: cierre.cerrar_semana(W47, ahora=boundary + cierre.GRACE, hasta=boundary), SECONDS)
        late = sale(maestro_id, vendida_en=NOW + timedelta(days=1))
        producer.publish(late, void_of(late), sale(maestro_id, cantidad=2))
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id).count() == 3, SECONDS)
    assert ReporteSemanal.objects.get(maestro_id=maestro_id).ingresos == 2_000
    assert reports.resumen(W48, maestro_id).ajuste_ingresos == 4_000
    assert Semana.objects.get(pk=W47).hasta == boundary


@pytest.mark.django_db(transaction=True)
def test_closing_during_a_batch_loses_no_sale(maestro_id: UUID) -> None:
    for week in range(20):
        lunes = W47 + week * timedelta(days=7)
        Semana.nueva(lunes).save()
        sold_at = NOW + week * timedelta(days=7)
        begun = threading.Event()

        def batch(sold_at: datetime = sold_at, begun: threading.Event = begun) -> None:
            with transaction.atomic():
                libro.registrar([sale(maestro_id, vendida_en=sold_at)])
                begun.set()
                libro.registrar([sale(maestro_id, vendida_en=sold_at) for _ in range(50)])
            connection.close()

        thread = threading.Thread(target=batch)
        thread.start()
        assert begun.wait(SECONDS)
        cierre.contabilizar(lunes, ahora=AFTERWARDS)
        thread.join(SECONDS)
        assert ReporteSemanal.objects.get(semana=lunes).cantidad_ventas == 51
    assert ReporteSemanal.objects.aggregate(total=Sum("cantidad_ventas")) == {"total": Venta.objects.count()}


@pytest.mark.django_db(transaction=True)
def test_four_workers_write_one_report_each() -> None:
    accounts = [account() for _ in range(20)]
    enter(*[sale(one.maestro_id) for one in accounts])

    def work() -> None:
        cierre.contabilizar(W47, ahora=AFTERWARDS)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join(SECONDS)
    assert sorted(ReporteSemanal.objects.values_list("maestro_id", flat=True)) == sorted(
        one.maestro_id for one in accounts
    )


@pytest.mark.django_db
def test_a_restore_holds_the_mails_of_due_weeks() -> None:
    enter(sale(account().maestro_id))
    assert cierre.retener_correos(ahora=AFTERWARDS) == 1
    close(W47)
    reporte = ReporteSemanal.objects.get()
    assert (reporte.envio, reporte.respuesta) == ("fallido", reports.RETENIDO)
    enter(sale(reporte.maestro_id, vendida_en=AFTERWARDS))
    close(W48)
    assert ReporteSemanal.objects.get(semana=W48).envio == "pendiente"


def test_a_refused_message_is_named_and_not_waited_for(from_the_topics_ends: None) -> None:
    """Kafka refused it for good, so waiting would not help: a person decides about it."""
    outbox.add(sale(uuid4()))
    OutboxMessage.objects.update(refused_at=MIDNIGHT, refusal="MSG_SIZE_TOO_LARGE", created_at=NOW)
    assert cierre.cerrar_semana(W47, ahora=AFTERWARDS)
    assert "Kafka rechazó mensajes ya aceptados: 1 de mamochi.ventas." in Semana.objects.get(pk=W47).advertencia
