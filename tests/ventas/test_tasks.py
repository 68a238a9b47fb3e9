"""What Beat calls: weeks that are due, missed ones too, and the one that is named."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from deploy.embedded import Stack
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.waiting import wait_until
from kafka_bridge.publishing import producer
from tests.ventas.conftest import SECONDS, contabilidad_corriendo, venta
from ventas import calendario, libro, seed, tasks
from ventas.models import Cuenta, ReporteSemanal, Semana, Venta
from ventas.semanas import cierre, envios
from ventas.semanas.envios import Barrido


@pytest.mark.django_db(transaction=True)
def test_beats_task_closes_what_is_due_and_the_running_week_when_told(
    stack: Stack, topics: None, maestro_id: UUID, cuenta: Callable[..., Cuenta]
) -> None:
    ahora = timezone.now()
    actual = calendario.semana_de(ahora)
    hace_dos = venta(maestro_id, vendida_en=calendario.limites(actual)[0] - timedelta(days=10))
    producer.publish(hace_dos, venta(maestro_id, vendida_en=ahora))
    hasta = max(calendario.limites(actual)[0], ahora - cierre.MARGEN - timedelta(seconds=1))
    with contabilidad_corriendo():
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id).count() == 2, SECONDS)
        explicita = {"semana": calendario.codigo(actual), "hasta": hasta.isoformat()}
        wait_until(lambda: tasks.cerrar_semanas.apply(kwargs=explicita).result == 3 or _cerrada(actual), SECONDS)
    propios = ReporteSemanal.objects.filter(maestro_id=maestro_id).order_by("semana_id")
    assert [(una.semana_id, una.cantidad_ventas) for una in propios] == [
        (calendario.semana_de(hace_dos.vendida_en), 1),
        (actual, 1),
    ]
    assert Semana.objects.get(pk=actual - calendario.SEMANA).cerrada  # nothing was sold in it
    assert not Semana.objects.filter(espera__gt="").exists()


def _cerrada(lunes: date) -> bool:
    return Semana.objects.filter(pk=lunes, estado=Semana.Estado.CERRADA).exists()


@pytest.mark.django_db
def test_the_schedule_is_in_chilean_time() -> None:
    PeriodicTask.objects.filter(task__startswith="ventas.").delete()  # a migration made them
    seed.sembrar_horarios()
    lunes = PeriodicTask.objects.get(name=seed.CERRAR_LUNES).crontab
    assert lunes is not None
    assert str(lunes.timezone) == "America/Santiago"
    assert (lunes.minute, lunes.hour, lunes.day_of_week) == ("10", "0", "1")
    for tarea in PeriodicTask.objects.filter(task__startswith="ventas."):
        assert tarea.expire_seconds == 60  # a worker that was off finds no weekend's hints
        assert tarea.task in (tasks.cerrar_semanas.name, tasks.enviar_reportes.name)


@pytest.mark.parametrize(
    ("texto", "esperado"),
    [
        ("", None),
        ("2026-11-23T12:00:00-03:00", datetime(2026, 11, 23, 12, tzinfo=ZoneInfo("America/Santiago"))),
        ("2026-11-23T12:00:00", datetime(2026, 11, 23, 12, tzinfo=ZoneInfo("America/Santiago"))),
    ],
)
def test_a_moment_without_an_offset_is_chilean(texto: str, esperado: datetime | None) -> None:
    assert tasks._momento(texto) == esperado


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_close_the_same_week_write_one_report_each(cuenta: Callable[..., Cuenta]) -> None:
    cuentas = [cuenta() for _ in range(20)]
    libro.registrar([venta(una.maestro_id) for una in cuentas])
    lunes = calendario.semana_de(venta(cuentas[0].maestro_id).vendida_en)

    def worker() -> None:
        cierre.contabilizar(lunes, ahora=timezone.now())
        connection.close()

    workers = [threading.Thread(target=worker) for _ in range(4)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join(SECONDS)
    assert sorted(ReporteSemanal.objects.values_list("maestro_id", flat=True)) == sorted(
        una.maestro_id for una in cuentas
    )


@pytest.mark.django_db(transaction=True)
def test_two_beats_and_two_workers_at_once_close_a_week_once_and_send_each_mail_once(
    topics: None, cuenta: Callable[..., Cuenta], mailbox: Mailbox, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    pasada = calendario.semana_de(timezone.now()) - calendario.SEMANA
    vendida = calendario.comienzo(pasada) + timedelta(days=1)
    cuentas = [cuenta(abierta_en=vendida) for _ in range(10)]
    producer.publish(*[venta(una.maestro_id, vendida_en=vendida) for una in cuentas])
    Semana.nueva(pasada).save()

    def worker() -> None:
        """One of four that take the hints of two Beats."""
        while not _cerrada(pasada):
            tasks.cerrar_semanas.apply()
        tasks.enviar_reportes.apply()
        connection.close()

    with contabilidad_corriendo():
        workers = [threading.Thread(target=worker) for _ in range(4)]
        for thread in workers:
            thread.start()
        for thread in workers:
            thread.join(SECONDS)
    ids = sorted(una.maestro_id for una in cuentas)  # in the topic there may be sales of other tests
    suyos = ReporteSemanal.objects.filter(semana=pasada, maestro_id__in=ids)
    assert sorted(suyos.values_list("maestro_id", flat=True)) == ids
    assert set(suyos.values_list("cantidad_ventas", "envio")) == {(1, "enviado")}
    assert [len(mailbox.wait_for(to=una.email)) for una in cuentas] == [1] * 10


def test_a_sender_whose_turn_ends_asks_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(tasks, "insinuar_envio", lambda: asked.append(True))
    for siguen in (True, False):
        monkeypatch.setattr(envios, "enviar_pendientes", lambda siguen=siguen: Barrido(5, siguen=siguen))
        assert tasks.enviar_reportes() == 5
    assert asked == [True]
