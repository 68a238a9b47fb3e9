"""The class of all tasks: a periodic task of which Beat has sent a newer one does nothing.

Beat numbers the runs of each row of its schedule. Where a worker was off, many runs of a row wait,
and the newest does the work of all. Where every run waits for longer than the interval, none works
until the queue is shorter. No clock decides that: the worker's may be ahead of Beat's by more than
the seconds in which the next run is sent.
"""

from typing import Any, Final

from celery import Task as CeleryTask
from celery.exceptions import Ignore

NAME_HEADER: Final = "periodic_task_name"  # of django-celery-beat
RUN_HEADER: Final = "mamochi_run"


class Task(CeleryTask):  # type: ignore[type-arg]  # it is generic for mypy only
    """A task that a newer run of its row replaces."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Raise Ignore, which ends the task without an error, if Beat has sent a newer run."""
        super().before_start(task_id, args, kwargs)
        name, run = self._header(NAME_HEADER), self._header(RUN_HEADER)
        if name and run and _newest_run(name) > run:
            raise Ignore(f"a newer run of {name} waits")

    def _header(self, name: str) -> Any:
        """Return a header of the message; an eager task keeps its headers in `request.headers`."""
        return self.request.get(name) or (self.request.headers or {}).get(name)


def _newest_run(name: str) -> int:
    """Return the number of the row's last run; 0 if the row was deleted."""
    from django_celery_beat.models import PeriodicTask

    count: int | None = PeriodicTask.objects.filter(name=name).values_list("total_run_count", flat=True).first()
    return count or 0
