"""The system through both changes of Chile's clock and the end of a week, with wrong clocks."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System, running_system
from tests.chaos.faults.clocks import Clocks
from tests.chaos.faults.preload import COMPILER
from tests.support.needs import needs
from tests.support.system import Client, enrol, query, wait_for_sales

pytestmark = [
    pytest.mark.chaos,
    needs("" if COMPILER else "a C compiler is missing: apt install gcc libc6-dev"),
]
SECONDS = 60.0
AHEAD_S = 600.0
BEFORE_MIDNIGHT = timedelta(seconds=180)  # of which the steps until then take less; the clock jumps over the rest
# Of 2027, in UTC: the change of the clock, the Monday of its week, and the end of that week.
APRIL = (datetime(2027, 4, 4, 3, tzinfo=UTC), date(2027, 3, 29), datetime(2027, 4, 5, 4, tzinfo=UTC))
SEPTEMBER = (datetime(2027, 9, 5, 4, tzinfo=UTC), date(2027, 8, 30), datetime(2027, 9, 6, 3, tzinfo=UTC))
EVERY_TEN_SECONDS = """
    UPDATE django_celery_beat_periodictask SET crontab_id = NULL, interval_id =
        (SELECT id FROM django_celery_beat_intervalschedule WHERE every = 10 AND period = 'seconds' LIMIT 1)
    WHERE task LIKE 'ventas.%%' RETURNING interval_id"""
# Beat has not written that row yet if it is still starting.
TOLD_BEAT = """
    INSERT INTO django_celery_beat_periodictasks (ident, last_update) VALUES (1, now())
    ON CONFLICT (ident) DO UPDATE SET last_update = now() RETURNING 1"""
MOMENTS = "SELECT vendida_en, dia, semana_contable, precio_unitario FROM ventas_venta ORDER BY vendida_en"


@pytest.fixture
def clocks(tmp_path: Path) -> Clocks:
    return Clocks(tmp_path / "clocks")


def seconds_to(moment: datetime) -> float:
    return moment.timestamp() - time.time()


@pytest.fixture
def system(tmp_path: Path, clocks: Clocks, year: tuple[datetime, date, datetime]) -> Iterator[System]:
    clocks.now = seconds_to(year[0] - timedelta(minutes=10))
    stack = Stack(tmp_path / "stack", durable=False, environ={}, own=clocks.variables)
    with running_system(stack, port=18_400, settings={"REVISION_AUTOMATICA": "true"}) as running:
        yield running


def change(system: System, sql: str) -> None:
    assert query(system, sql)


def closings(system: System) -> int:
    """Return how many tasks that close weeks have run."""
    return (system.logs / "celery-worker.log").read_text(errors="replace").count("task=ventas.tasks.cerrar_semanas")


def wait_for_closing(system: System) -> None:
    """Wait until a closing that begins from now on has run."""
    before = closings(system)
    wait_until(lambda: closings(system) >= before + 2, SECONDS)


def week(system: System, lunes: date) -> str:
    [(estado,)] = query(system, "SELECT estado FROM ventas_semana WHERE lunes = %s", lunes)
    return str(estado)


def database_time(system: System) -> datetime:
    [(now,)] = query(system, "SELECT clock_timestamp()")
    assert isinstance(now, datetime)
    return now


def sell(maestro: Client, times: int = 3) -> None:
    for _ in range(times):
        assert maestro.sell().status == 202


@pytest.mark.parametrize("year", [APRIL, SEPTEMBER], ids=["april", "september"])
def test_week_ends_at_midnight_by_right_clocks(
    system: System, clocks: Clocks, year: tuple[datetime, date, datetime]
) -> None:
    changed, lunes, midnight = year
    change(system, EVERY_TEN_SECONDS)
    change(system, TOLD_BEAT)
    maestro = enrol(system, int(system.url.rsplit(":", 1)[1]), paid=False)
    clocks.travel(seconds_to(changed - timedelta(seconds=1)))
    sell(maestro)
    wait_until(lambda: database_time(system) > changed, SECONDS)
    sell(maestro)
    wait_for_sales(maestro)

    clocks.travel(seconds_to(midnight - BEFORE_MIDNIGHT))
    for name in ("celery-worker", "celery-beat"):
        clocks.move(name, AHEAD_S)
    sell(maestro)
    wait_for_closing(system)
    assert week(system, lunes) == "abierta", "the worker is ahead"
    clocks.move("celery-worker", 0)
    clocks.move("postgres", AHEAD_S)
    wait_until(lambda: database_time(system) > midnight, SECONDS)
    wait_for_closing(system)
    assert week(system, lunes) == "abierta", "PostgreSQL is ahead"
    assert seconds_to(midnight) > clocks.now, "all this was before midnight"
    sell(maestro)
    clocks.move("postgres", 0)
    before = len(maestro.sent)

    clocks.travel(seconds_to(midnight) + 1)
    sell(maestro, 2)
    wait_for_sales(maestro)
    wait_until(lambda: week(system, lunes) == "cerrada", SECONDS)
    [(counted,)] = query(system, "SELECT cantidad_ventas FROM ventas_reportesemanal WHERE semana_id = %s", lunes)
    rows = query(system, MOMENTS)
    assert counted == before == sum(semana == lunes for _, _, semana, _ in rows)
    assert len(rows) == len(maestro.sent) == before + 2
    assert all((vendida_en < midnight) == (semana == lunes) for vendida_en, _, semana, _ in rows)
    assert {precio for *_, precio in rows} == {2_000}
    assert maestro.persona is not None
    assert system.mailbox.wait_for(to=maestro.persona.email, subject="Tu semana en MAMOCHI", timeout=SECONDS)
