"""The tasks of Beat: close the weeks that are due and the given one, and send the e-mails."""

import threading
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from deploy.embedded import Stack
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.waiting import wait_until
from kafka_bridge.publishing import producer
from tests.support.consumers import consumer, running
from tests.support.sales import account, sale
from ventas import calendario, tasks
from ventas.models import ReporteSemanal, Semana, Venta
from ventas.semanas import cierre, mailer
from ventas.semanas.mailer import Sweep

SECONDS = 30.0


def is_closed(lunes: date) -> bool:
    return Semana.objects.filter(pk=lunes, estado=Semana.Estado.CERRADA).exists()


@pytest.mark.django_db(transaction=True)
def test_due_weeks_and_a_given_one_close(stack: Stack, topics: None, maestro_id: UUID) -> None:
    now = timezone.now()
    current = calendario.semana_de(now)
    two_weeks_ago = sale(maestro_id, vendida_en=calendario.limites(current)[0] - timedelta(days=10))
    producer.publish(two_weeks_ago, sale(maestro_id, vendida_en=now))
    hasta = max(calendario.limites(current)[0], now - cierre.GRACE - timedelta(seconds=1))
    with running(consumer("contabilidad", own_group=True)):
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id).count() == 2, SECONDS)
        given = {"semana": calendario.codigo(current), "hasta": hasta.isoformat()}
        wait_until(lambda: tasks.cerrar_semanas.apply(kwargs=given).result == 3 or is_closed(current), SECONDS)
    own = ReporteSemanal.objects.filter(maestro_id=maestro_id).order_by("semana_id")
    assert [(one.semana_id, one.cantidad_ventas) for one in own] == [
        (calendario.semana_de(two_weeks_ago.vendida_en), 1),
        (current, 1),
    ]
    assert Semana.objects.get(pk=current - calendario.SEMANA).cerrada  # nothing was sold in it
    assert not Semana.objects.filter(espera__gt="").exists()


@pytest.mark.django_db(transaction=True)
def test_four_workers_close_and_send_once(topics: None, mailbox: Mailbox, settings: Any) -> None:
    """The four take the hints of two Beats."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    last_week = calendario.semana_de(timezone.now()) - calendario.SEMANA
    sold_at = calendario.comienzo(last_week) + timedelta(days=1)
    accounts = [account(abierta_en=sold_at) for _ in range(10)]
    producer.publish(*[sale(one.maestro_id, vendida_en=sold_at) for one in accounts])
    Semana.nueva(last_week).save()

    def work() -> None:
        while not is_closed(last_week):
            tasks.cerrar_semanas.apply()
        tasks.enviar_reportes.apply()
        connection.close()

    with running(consumer("contabilidad", own_group=True)):
        workers = [threading.Thread(target=work) for _ in range(4)]
        for thread in workers:
            thread.start()
        for thread in workers:
            thread.join(SECONDS)
    ids = sorted(one.maestro_id for one in accounts)  # the topic may have sales of other tests
    own = ReporteSemanal.objects.filter(semana=last_week, maestro_id__in=ids)
    assert sorted(own.values_list("maestro_id", flat=True)) == ids
    assert set(own.values_list("cantidad_ventas", "envio")) == {(1, "enviado")}
    assert [len(mailbox.wait_for(to=one.email)) for one in accounts] == [1] * 10


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("days", [7, -7])
def test_worker_that_is_ahead_closes_no_week_early(topics: None, days: int) -> None:
    """A worker that is behind closes it late."""
    current = calendario.semana_de(timezone.now())
    Semana.nueva(current).save()
    with time_machine.travel(timezone.now() + timedelta(days=days)):
        tasks.cerrar_semanas.apply()
    assert [one.estado for one in Semana.objects.filter(lunes__gte=current)] == [Semana.Estado.ABIERTA]


def test_an_unfinished_sweep_asks_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(tasks, "hint_sending", lambda: asked.append(True))
    for unfinished in (True, False):
        sweep = Sweep(5, unfinished=unfinished)
        monkeypatch.setattr(mailer, "enviar_pendientes", lambda sweep=sweep: sweep)
        assert tasks.enviar_reportes() == 5
    assert asked == [True]
