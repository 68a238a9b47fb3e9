"""Celery Beat's scheduler with a pulse: `/health/live` on METRICS_PORT is 503 when it hangs."""

import os
from typing import Any

from celery.signals import beat_init
from django_celery_beat.schedulers import DatabaseScheduler

from kafka_bridge.telemetry import probe
from kafka_bridge.telemetry.pulse import Pulse


class PulsingScheduler(DatabaseScheduler):
    """The schedule in the database; it beats a pulse each time it looks for due tasks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.pulse = Pulse("beat")
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due; return the seconds until the next look."""
        self.pulse.beat(working=True)
        return super().tick(*args, **kwargs)


@beat_init.connect
def serve_probe(**_: Any) -> None:
    """Serve /metrics and /health on METRICS_PORT (`[HOST:]PORT`), where that variable is set."""
    if where := os.environ.get("METRICS_PORT"):
        probe.serve(probe.address(where))
