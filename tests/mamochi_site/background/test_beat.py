"""Beat's schedule when a clock changes: Chile's two changes, and a clock that was ahead."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from mamochi_site.background.beat import Entry, Scheduler
from mamochi_site.background.task import RUN_HEADER
from mamochi_site.celery import app

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
# django-celery-beat has no types.
ENTRY: Any = Entry
SCHEDULER: Any = Scheduler
SECONDS = 60.0
REPEATED_HOUR = datetime(2027, 4, 4, 3, 10, tzinfo=UTC)
SKIPPED_HOUR = datetime(2027, 9, 5, 3, 59, 55, tzinfo=UTC)
WORKER = """
import django
django.setup()
from mamochi_site.celery import app

@app.task(name="reloj")
def reloj():
    print("reloj ran", flush=True)

app.worker_main(["worker", "--concurrency", "1", "--pool", "solo", "--without-mingle", "--loglevel", "INFO"])
"""


def every(seconds: int, **fields: object) -> PeriodicTask:
    interval = IntervalSchedule.objects.create(every=seconds, period="seconds")
    row = {"name": "reloj", "task": "reloj", "expire_seconds": seconds, "interval": interval, **fields}
    made: PeriodicTask = PeriodicTask.objects.create(**row)
    return made


@pytest.mark.django_db
@pytest.mark.parametrize("begin", [REPEATED_HOUR, SKIPPED_HOUR, REPEATED_HOUR - timedelta(minutes=11)])
def test_interval_is_due_once_an_interval(begin: datetime) -> None:
    with time_machine.travel(begin, tick=False) as clock:
        entry = ENTRY(every(60, last_run_at=begin), app=app)
        runs = 0
        for _ in range(7_200 // 10):
            clock.shift(10)
            if entry.is_due().is_due:
                runs, entry = runs + 1, next(entry)
    assert runs == 120


@pytest.mark.parametrize("begin", [REPEATED_HOUR, SKIPPED_HOUR])
def test_task_expires_after_its_seconds(begin: datetime) -> None:
    with time_machine.travel(begin, tick=False):
        sent = app.amqp.as_task_v2("id", "reloj", expires=60, countdown=30)
    assert datetime.fromisoformat(sent.headers["expires"]) == begin + timedelta(seconds=60)
    assert datetime.fromisoformat(sent.headers["eta"]) == begin + timedelta(seconds=30)


@pytest.mark.django_db
def test_calendar_rows_stay_chilean(admin_client: Client) -> None:
    page = admin_client.get("/admin/django_celery_beat/crontabschedule/add/").content.decode()
    assert '<option value="America/Santiago" selected>' in page
    monday = CrontabSchedule.objects.create(minute="0", hour="0", day_of_week="1", timezone="America/Santiago")
    sunday = datetime(2027, 4, 4, 20, 0, tzinfo=UTC)
    row = PeriodicTask.objects.create(name="lunes", task="reloj", crontab=monday, last_run_at=sunday)
    midnight = datetime(2027, 4, 5, 4, 0, tzinfo=UTC)
    for moment, due in ((midnight - timedelta(minutes=1), False), (midnight, True)):
        with time_machine.travel(moment, tick=False):
            assert ENTRY(row, app=app).is_due().is_due == due, moment


@pytest.mark.django_db
def test_last_run_in_the_future_counts_as_now() -> None:
    row = every(60, last_run_at=REPEATED_HOUR + timedelta(days=1))
    with time_machine.travel(REPEATED_HOUR, tick=False) as clock:
        entry = ENTRY(row, app=app)
        assert not entry.is_due().is_due
        clock.shift(60)
        assert entry.is_due().is_due


@pytest.mark.django_db
def test_clock_set_back_drops_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast and a slow task: the slow one must not wait for the time of the wrong clock."""
    PeriodicTask.objects.all().delete()
    sent: list[str] = []
    monkeypatch.setattr(Scheduler, "producer", None)  # it would connect to Celery's broker
    # By the frozen clock the test's own connection is old.
    monkeypatch.setattr("django_celery_beat.schedulers.close_old_connections", lambda: None)
    monkeypatch.setattr(Scheduler, "apply_entry", lambda _self, entry, **_: sent.append(entry.name))
    wrong = REPEATED_HOUR + timedelta(days=1)
    every(10, name="fast", last_run_at=wrong)
    every(30, name="slow", last_run_at=wrong)
    with time_machine.travel(wrong, tick=False) as clock:
        scheduler = SCHEDULER(app=app, lazy=True)
        scheduler.tick()
        clock.move_to(REPEATED_HOUR)
        for _ in range(70):
            clock.shift(1)
            for _ in range(3):
                scheduler.tick()
    assert (sent.count("fast"), sent.count("slow")) == (6, 2)


@pytest.mark.django_db
def test_only_the_newest_waiting_run_works() -> None:
    """By no clock: a row's runs are numbered."""
    ran: list[int] = []

    @app.task(name="reloj")
    def reloj() -> None:
        ran.append(1)

    try:
        entry = ENTRY(every(60), app=app)
        for _ in range(3):
            sent, entry = entry.options["headers"], next(entry)
            reloj.apply(headers=sent)
            entry.save()
        assert len(ran) == 3, "Beat saves the number after it has sent the task"
        reloj.apply(headers=sent)
        assert len(ran) == 4, "the newest"
        older: dict[str, Any] = {**sent, RUN_HEADER: 2}
        reloj.apply(headers=older)
        assert len(ran) == 4, "a newer one waits"
        PeriodicTask.objects.all().delete()
        reloj.apply(headers=sent)
        assert len(ran) == 5, "a task whose row was deleted meanwhile"
    finally:
        app.tasks.unregister("reloj")


@contextmanager
def at(moment: datetime, folder: Path, name: str, *argv: str) -> Iterator[Path]:
    """Run a program whose clock shows `moment`; return its log."""
    log = folder / f"{name}.log"
    fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"@{moment:%Y-%m-%d %H:%M:%S}", "TZ": "UTC"}
    environment = {**os.environ, **fake, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *argv], env=environment, stdout=output, stderr=output)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def own_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a broker for Celery that only this test uses."""
    others = {name: os.environ[name] for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "EMAIL_URL")}
    with Stack(tmp_path / "valkey", durable=False, environ=others) as stack:
        monkeypatch.setenv("CELERY_BROKER_URL", stack.environment()["CELERY_BROKER_URL"])
        yield


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.skipif(FAKETIME is None and "CI" not in os.environ, reason="needs libfaketime")
@pytest.mark.parametrize(
    ("moment", "beat_is_behind"),
    [(REPEATED_HOUR, timedelta(0)), (SKIPPED_HOUR, timedelta(0)), (SKIPPED_HOUR, timedelta(minutes=10))],
    ids=["april", "september", "Beat is behind"],
)
@pytest.mark.usefixtures("transactional_db", "own_broker")
def test_real_beat_and_worker_run_once_an_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: datetime, beat_is_behind: timedelta
) -> None:
    from django.db import connection

    database = connection.settings_dict
    address = f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{database['USER']}:{database['PASSWORD']}@{address}")
    PeriodicTask.objects.all().delete()
    every(2)
    PeriodicTasks.update_changed()
    beat = ["-m", "celery", "-A", "mamochi_site.celery", "beat", "--loglevel", "INFO", "--pidfile="]
    theirs = moment - beat_is_behind
    with at(moment, tmp_path, "worker", "-c", WORKER) as worker, at(theirs, tmp_path, "beat", *beat) as sender:
        wait_until(lambda: worker.read_text().count("reloj ran") >= 5, SECONDS)
        sent = sender.read_text().count("Sending due task")
        ran = worker.read_text().count("reloj ran")
    assert sent <= ran + 2, "each task that was sent ran, up to what is on its way"
    assert PeriodicTask.objects.get(name="reloj").total_run_count <= sent + 3
