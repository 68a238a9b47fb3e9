"""Closing the running week early, through Celery Beat: its schedule's row is moved to now, and put back afterwards."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django_celery_beat.models import ClockedSchedule, PeriodicTask

from ventas import calendario
from ventas.seed import CERRAR_LUNES


@contextmanager
def closing_now(hasta: datetime) -> Iterator[str]:
    """Beat closes the week that `hasta` (aware) lies in at that moment: the row that closes it each Monday is due now, once.

    Gives the week's name, such as `2026-W47`. What is sold later counts in the next week, as an adjustment.
    """
    semana = calendario.codigo(calendario.semana_de(hasta))
    monday = PeriodicTask.objects.get(name=CERRAR_LUNES)
    crontab, now = monday.crontab, ClockedSchedule.objects.create(clocked_time=hasta)
    kwargs = json.dumps({"semana": semana, "hasta": hasta.isoformat()})
    _edit(monday, crontab=None, clocked=now, one_off=True, total_run_count=0, kwargs=kwargs)
    try:
        yield semana
    finally:
        monday.refresh_from_db()  # Beat wrote when it ran, and disables what has run once
        _edit(monday, crontab=crontab, clocked=None, one_off=False, enabled=True, kwargs="{}")
        now.delete()


def _edit(row: PeriodicTask, **fields: object) -> None:
    """Saved as the admin saves it: Beat sees the edit within CELERY_BEAT_MAX_LOOP_INTERVAL."""
    for field, value in fields.items():
        setattr(row, field, value)
    row.save()  # type: ignore[no-untyped-call]
