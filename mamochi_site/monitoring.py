"""What the project reports to the monitoring: whether Celery Beat starts the periodic tasks."""

from datetime import datetime
from typing import Final

from django.db.models.functions import Coalesce
from django_celery_beat.models import PeriodicTask

from kafka_bridge.monitoring.due_work import DueWork, due_work, overdue

# Seconds that a task may be late before Beat counts as missing.
PATIENCE: Final = 180.0


@due_work
def beat(now: datetime) -> DueWork:
    """Report how late Beat is with the periodic task that is most overdue.

    Beat writes each start of a task to the database (CELERY_BEAT_SYNC_EVERY). Tasks on a calendar
    are ignored: their starts are days apart, so they cannot show whether Beat runs now.
    """
    tasks = PeriodicTask.objects.filter(enabled=True, interval__isnull=False).select_related("interval")
    begun = tasks.annotate(begun=Coalesce("last_run_at", "date_changed"))
    due = [task.begun + task.interval.schedule.run_every for task in begun]
    return DueWork(
        work="beat",
        overdue_s=overdue(min(due, default=None), now),
        tolerance_s=PATIENCE,
        late="Beat no inicia las tareas periódicas, que debían partir",
        late_advice="Inicia un Celery Beat, y solo uno: sin él no se cierran semanas ni se reintentan correos.",
    )
