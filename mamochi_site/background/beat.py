"""Celery Beat's scheduler, with a pulse, which also works after its clock was ahead and set right.

Beat compares times of the wall clock, in UTC (settings.CELERY_TIMEZONE). A row whose last run lies
in the future would not run until the clock has reached that time, perhaps in days.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from celery.signals import beat_init
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from kafka_bridge.telemetry import probe
from kafka_bridge.telemetry.pulse import Pulse
from mamochi_site.background.task import RUN_HEADER
from mamochi_site.environment import text

logger = logging.getLogger(__name__)
# A clock that is adjusted by less is no problem: a task is late by this much at most.
TOLERANCE: Final = timedelta(seconds=1)
# A worker whose clock is ahead of Beat's by less than this runs Beat's tasks. It is more than
# Chile's offset from UTC, by which a clock is wrong that was set in another zone. The expiry only
# bounds how many tasks wait for a worker that is off: only the newest of a row works (task.py).
CLOCKS_DIFFER_S: Final = 6 * 3_600


class Entry(ModelEntry):
    """A row of the schedule, whose last run is never in the future; its tasks tell their number."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # django-celery-beat has no types
        options = cast(dict[str, Any], self.options)  # a row's entry always has some
        options["headers"][RUN_HEADER] = self.total_run_count + 1
        if isinstance(seconds := options.get("expires"), int):
            options["expires"] = seconds + CLOCKS_DIFFER_S

    def is_due(self) -> Any:
        """Return whether the task is due; a last run in the future counts as a run of now."""
        now = datetime.now(UTC)
        if self.last_run_at and self.last_run_at > now + TOLERANCE:
            logger.warning("the last run of %s lies in the future (%s): count from now", self.name, self.last_run_at)
            self.last_run_at = self.model.last_run_at = now
            # Saved at once: Beat reads its rows again every five minutes.
            PeriodicTask.objects.filter(pk=self.model.pk).update(last_run_at=now)
        return super().is_due()  # type: ignore[no-untyped-call]  # django-celery-beat has no types


class Scheduler(DatabaseScheduler):
    """The schedule of the database; it starts from the rows if the clock was set back."""

    Entry = Entry
    _seen = datetime.min.replace(tzinfo=UTC)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.pulse = Pulse("beat")
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # django-celery-beat has no types

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send the next task that is due.

        The queue of next runs is dropped if the clock was set back: its times are wrong.
        """
        self.pulse.beat(working=True)
        now = datetime.now(UTC)
        if self._seen - now > TOLERANCE:
            logger.warning("the clock was set back from %s to %s: plan all tasks again", self._seen, now)
            self._heap = []
            self._heap_invalidated = True
            # The library compares it with the local time, which also goes back each April.
            self._last_full_sync = datetime.min
        self._seen = now
        return super().tick(*args, **kwargs)


@beat_init.connect
def serve_probe(**_: Any) -> None:
    """Serve /metrics and /health on METRICS_PORT (`[HOST:]PORT`), where that variable is set."""
    if where := text("METRICS_PORT").strip():
        probe.serve(probe.address(where))
