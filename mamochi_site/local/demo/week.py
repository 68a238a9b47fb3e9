"""Close the current week early through Celery Beat, by a temporary edit of Beat's schedule."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django_celery_beat.models import ClockedSchedule, PeriodicTask

from ventas import calendario
from ventas.seed import CERRAR_LUNES


@contextmanager
def closing_now(hasta: datetime) -> Iterator[str]:
    """Let Beat close the week of `hasta` (an aware datetime) at that moment.

    In the block, the schedule's row that closes a week each Monday is due at `hasta`, once. Yields
    the week's code, such as `2026-W47`. Later sales of that week count in the next week, as an
    adjustment.
    """
    semana = calendario.codigo(calendario.semana_de(hasta))
    monday = PeriodicTask.objects.get(name=CERRAR_LUNES)
    crontab, now = monday.crontab, ClockedSchedule.objects.create(clocked_time=hasta)
    kwargs = json.dumps({"semana": semana, "hasta": hasta.isoformat()})
    _edit(monday, crontab=None, clocked=now, one_off=True, total_run_count=0, kwargs=kwargs)
    try:
        yield semana
    finally:
        # Beat has written to the row: the time of the run, and that a task which runs once is
        # disabled.
        monday.refresh_from_db()
        _edit(monday, crontab=crontab, clocked=None, one_off=False, enabled=True, kwargs="{}")
        now.delete()


def _edit(row: PeriodicTask, **fields: object) -> None:
    """Save the fields as the admin does; Beat notices within CELERY_BEAT_MAX_LOOP_INTERVAL."""
    for field, value in fields.items():
        setattr(row, field, value)
    row.save()
