"""kill -9 of the Celery worker and Beat while a week closes: one report and one mail for each of 2,000 maestros."""

import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from deploy.embedded import Stack
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.processes import Process
from deploy.embedded.waiting import wait_until
from tests.ventas.conftest import contabilidad_corriendo, topics, venta
from ventas import seed, semanas, services
from ventas.models import Cuenta, ReporteSemanal, Semana

__all__ = ["topics"]  # a fixture
pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("topics")]
CHECKOUT = Path(__file__).resolve().parents[2]
MAESTROS = 2_000
KILLS = 10
SECONDS = 120.0
CELERY = [sys.executable, "-m", "celery", "-A", "mamochi_site.celery"]
COMMANDS = {
    "closing-worker": [*CELERY, "worker", "--concurrency", "2", "--without-mingle", "--without-gossip"],
    "closing-beat": [*CELERY, "beat", "--pidfile=", "--max-interval", "1"],
}


@pytest.fixture
def environment() -> dict[str, str]:
    """That of a process on this test's database; slow enough to be killed at work."""
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    return {**os.environ, "DATABASE_URL": url, "DEBUG": "true", "CORREOS_POR_SEGUNDO": "150"}


@pytest.fixture
def vencida() -> Semana:
    """Last week, with a sale of every second maestro."""
    lunes = semanas.semana_de(timezone.now()) - semanas.SEMANA
    semana = Semana.nueva(lunes)
    domain = f"{uuid4().hex}.example.cl"
    cuentas = [
        Cuenta(maestro_id=uuid4(), nombre=f"Maestra {n}", email=f"m{n}@{domain}", abierta_en=semana.desde)
        for n in range(MAESTROS)
    ]
    services.abrir_cuentas(cuentas)
    services.registrar(
        [venta(cuenta.maestro_id, vendida_en=semana.desde + timedelta(days=2)) for cuenta in cuentas[::2]]
    )
    return semana


def beat_every_second() -> None:
    """Beat's rows as seeded, each due every second."""
    seed.sembrar_horarios()
    every_second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.filter(task__startswith="ventas.").update(crontab=None, interval=every_second)
    PeriodicTasks.update_changed()  # type: ignore[no-untyped-call]


def progress(mailbox: Mailbox) -> tuple[int, int]:
    """Weeks closed and mails that arrived."""
    return Semana.objects.filter(estado=Semana.Estado.CERRADA).count(), len(list(mailbox.folder.glob("*.eml")))


@pytest.fixture
def processes(stack: Stack, environment: dict[str, str]) -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.kill()


def test_a_closing_that_is_killed_ten_times_sends_each_mail_once(
    stack: Stack, mailbox: Mailbox, environment: dict[str, str], vencida: Semana, processes: list[Process]
) -> None:
    with contabilidad_corriendo():  # what other tests have left in the topics
        beat_every_second()
        repeatable = secrets.randbelow(10**6)
        print(f"seed {repeatable}")  # noqa: T201 - to repeat a failure
        chance = random.Random(repeatable)  # noqa: S311
        for life in range(KILLS + 1):
            before = progress(mailbox)
            processes[:] = [stack.run(name, argv, cwd=CHECKOUT, env=environment) for name, argv in COMMANDS.items()]
            if life < KILLS:
                wait_until(lambda before=before: progress(mailbox) != before, SECONDS)  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.8))  # the moment of the kill, not a wait for something
                for process in processes:
                    process.kill()
        suyos = ReporteSemanal.objects.filter(semana=vencida.lunes, maestro_id__in=Cuenta.objects.values("maestro_id"))
        wait_until(lambda: suyos.filter(envio=ReporteSemanal.Envio.ENVIADO).count() == MAESTROS, SECONDS)
    ids = Counter(str(mail.message["Message-ID"]) for mail in mailbox.mails(subject="Tu semana en MAMOCHI"))
    own = {id_: times for id_, times in ids.items() if semanas.codigo(vencida.lunes) in id_}
    assert len(own) == suyos.count() == MAESTROS
    repeated = sum(own.values()) - MAESTROS
    print(f"{KILLS} kills, {repeated} mails repeated between SMTP's 250 and the commit")  # noqa: T201
    assert repeated <= 2 * KILLS  # two worker processes, each with one mail in flight
