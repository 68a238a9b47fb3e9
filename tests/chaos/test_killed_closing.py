"""Kill workers and Beats while a week closes: one report and one e-mail per maestro."""

import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from deploy.embedded import Stack
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.processes import Process
from deploy.embedded.waiting import wait_until
from tests.support.consumers import consumer, running
from tests.support.sales import enter, prepare_topics, sale
from ventas import calendario, libro, seed
from ventas.models import Cuenta, ReporteSemanal, Semana
from ventas.semanas import mailer

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.minutes(7),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("topics", "from_the_topics_ends"),
]
CHECKOUT = Path(__file__).resolve().parents[2]
MAESTROS = 2_000
KILLS = 10
SECONDS = 120.0
LAPSED = SECONDS + mailer.CLAIM.total_seconds()  # the claim of a killed worker
CELERY = [sys.executable, "-m", "celery", "-A", "mamochi_site.celery"]
WORKER = [*CELERY, "worker", "--concurrency", "2", "--without-mingle", "--without-gossip"]
BEAT = [*CELERY, "beat", "--pidfile=", "--max-interval", "1"]
COMMANDS = {"closing-worker-1": WORKER, "closing-worker-2": WORKER, "closing-beat-1": BEAT, "closing-beat-2": BEAT}


@pytest.fixture(scope="session")
def topics(kafka: str) -> None:
    prepare_topics()


def database_url() -> str:
    database = connection.settings_dict
    return f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment of a process on the test database, slow enough to be killed."""
    return {**os.environ, "DATABASE_URL": database_url(), "DEBUG": "true", "CORREOS_POR_SEGUNDO": "150"}


@pytest.fixture
def vencida() -> Semana:
    """Write last week with a sale of every second maestro."""
    lunes = calendario.semana_de(timezone.now()) - calendario.SEMANA
    semana = Semana.nueva(lunes)
    domain = f"{uuid4().hex}.example.cl"
    cuentas = [
        Cuenta(maestro_id=uuid4(), nombre=f"Maestra {n}", email=f"m{n}@{domain}", abierta_en=semana.desde)
        for n in range(MAESTROS)
    ]
    libro.abrir_cuentas(cuentas)
    enter(*[sale(cuenta.maestro_id, vendida_en=semana.desde + timedelta(days=2)) for cuenta in cuentas[::2]])
    return semana


def beat_every_second() -> None:
    """Write Beat's rows as seeded, each due every second."""
    seed.sembrar_horarios()
    every_second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.filter(task__startswith="ventas.").update(crontab=None, interval=every_second)
    PeriodicTasks.update_changed()


@contextmanager
def report_in_the_way(semana: Semana) -> Iterator[None]:
    """Hold an uncommitted report of the middle maestro: the closing waits with half written."""
    ids = sorted(Cuenta.objects.values_list("maestro_id", flat=True))
    with psycopg.connect(database_url()) as rival:
        rival.execute(
            "INSERT INTO ventas_reportesemanal (semana_id, maestro_id, envio, intentos, respuesta, cantidad_ventas,"
            " unidades, ingresos, ganancias, ajuste_ventas, ajuste_unidades, ajuste_ingresos, ajuste_ganancias)"
            " VALUES (%s, %s, 'pendiente', 0, '', 0, 0, 0, 0, 0, 0, 0, 0)",
            [semana.lunes, ids[len(ids) // 2]],
        )
        yield
        rival.rollback()


def writing_reports() -> set[int]:
    """Return the PostgreSQL processes that run the INSERT of a closing.

    It is recognised by its beginning: pg_stat_activity shows the first 1,024 bytes of a statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND query LIKE '%%WITH entries AS%%' AND pid <> pg_backend_pid()",
        )
        return {pid for (pid,) in cursor.fetchall()}


def connected(pids: set[int]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)", [list(pids)])
        return cursor.fetchone() is not None


def has_progressed(mailbox: Mailbox, before: tuple[int, int]) -> bool:
    return progress(mailbox) != before


def progress(mailbox: Mailbox) -> tuple[int, int]:
    """Return the closed weeks and the number of e-mails that arrived."""
    return Semana.objects.filter(estado=Semana.Estado.CERRADA).count(), len(list(mailbox.folder.glob("*.eml")))


@pytest.fixture
def processes(stack: Stack, environment: dict[str, str]) -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.kill()


def test_killed_closing_mails_once(
    stack: Stack, mailbox: Mailbox, environment: dict[str, str], vencida: Semana, processes: list[Process]
) -> None:

    def start() -> None:
        processes[:] = [stack.run(name, argv, cwd=CHECKOUT, env=environment) for name, argv in COMMANDS.items()]

    def kill() -> None:
        for process in processes:
            process.kill()

    with running(consumer("contabilidad", own_group=True)):  # otherwise the week does not close
        beat_every_second()
        with report_in_the_way(vencida):
            start()
            closing = wait_until(writing_reports, SECONDS)
            kill()  # after half of the reports, before the commit
        wait_until(lambda: not connected(closing), SECONDS)
        assert not ReporteSemanal.objects.exists()
        assert not Semana.objects.get(pk=vencida.pk).cerrada
        repeatable = secrets.randbelow(10**6)
        print(f"seed {repeatable}")
        chance = random.Random(repeatable)
        for _ in range(KILLS - 1):
            before = progress(mailbox)
            start()
            wait_until(partial(has_progressed, mailbox, before), SECONDS)
            time.sleep(chance.uniform(0, 0.8))  # the moment of the kill, not a wait
            kill()
        start()
        suyos = ReporteSemanal.objects.filter(semana=vencida.lunes, maestro_id__in=Cuenta.objects.values("maestro_id"))
        wait_until(lambda: suyos.filter(envio=ReporteSemanal.EstadoCorreo.ENVIADO).count() == MAESTROS, LAPSED)
    ids = Counter(str(mail.message["Message-ID"]) for mail in mailbox.mails(subject="Tu semana en MAMOCHI"))
    own = {id_: times for id_, times in ids.items() if calendario.codigo(vencida.lunes) in id_}
    assert len(own) == suyos.count() == MAESTROS
    repeated = sum(own.values()) - MAESTROS
    print(f"{KILLS} kills, {repeated} mails repeated between SMTP's 250 and the commit")
    assert repeated <= KILLS  # one worker sends at a time, with one e-mail in flight
