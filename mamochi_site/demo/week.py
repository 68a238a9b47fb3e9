"""Closing the running week early, through Celery Beat: the schedule's row is moved to now, and put back afterwards."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from django_celery_beat.models import IntervalSchedule, PeriodicTask

from ventas import semanas
from ventas.seed import CERRAR_LUNES

SCHEDULE_FIELDS: Final = ["crontab", "interval", "kwargs"]


@contextmanager
def closing_now(hasta: datetime) -> Iterator[str]:
    """While in here Beat closes, every two seconds until it is done, the week that `hasta` (aware) lies in, at `hasta`.

    Gives the week's name, such as `2026-W47`. A sale from `hasta` on counts in the next week, as an adjustment.
    """
    semana = semanas.codigo(semanas.semana_de(hasta))
    schedule = PeriodicTask.objects.get(name=CERRAR_LUNES)
    usual = {field: getattr(schedule, field) for field in SCHEDULE_FIELDS}
    often, _ = IntervalSchedule.objects.get_or_create(every=2, period=IntervalSchedule.SECONDS)
    kwargs = json.dumps({"semana": semana, "hasta": hasta.isoformat()})
    _edit(schedule, crontab=None, interval=often, kwargs=kwargs)
    try:
        yield semana
    finally:
        schedule.refresh_from_db()  # Beat wrote when it last ran
        _edit(schedule, **usual)


def _edit(schedule: PeriodicTask, **fields: object) -> None:
    """Saved as the admin saves it: Beat sees the edit within CELERY_BEAT_MAX_LOOP_INTERVAL."""
    for field, value in fields.items():
        setattr(schedule, field, value)
    schedule.save()  # type: ignore[no-untyped-call]
