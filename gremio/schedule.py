"""Rows of Celery Beat's schedule, which staff may edit in the admin."""

from typing import Any


def run_every(apps: Any, seconds: int, *, name: str, task: str, description: str) -> None:
    """Add a periodic task if no row has that name; each call expires when the next one is due.

    `apps`: a migration's registry, or Django's. `name` and `description` are shown to staff, in
    Spanish.
    """
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    period = {"every": seconds, "period": "seconds"}
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name=name,
        defaults={
            "task": task,
            # Beat's table allows several equal intervals: take the first one.
            "interval": intervals.filter(**period).first() or intervals.create(**period),
            "expire_seconds": seconds,
            "description": description,
        },
    )
