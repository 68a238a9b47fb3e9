"""Telemetry of Celery's worker: a log line per task, metrics, health, and the trace of a task."""

import os
import time
from contextlib import ExitStack
from typing import Any, Final

from celery import Task, bootsteps
from celery.signals import (
    beat_init,
    before_task_publish,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_shutdown,
)

from kafka_bridge.telemetry import traceparent
from mamochi_site.environment import text

# A header of each task: the traces of the batch of messages that sent the task.
TRACES_HEADER: Final = "mamochi_traces"
PULSE_SECONDS: Final = 2.0

# Open trace contexts and start times by task id. A worker process runs one task at a time.
_running: Final[dict[str, tuple[ExitStack, float]]] = {}


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Do nothing: Celery leaves the loggers as Django set them if this signal has a receiver."""


@beat_init.connect
@worker_init.connect
def limit_silence(**_: Any) -> None:
    """Let Beat and the worker's processes, which it forks later, give up a database that hangs."""
    from kafka_bridge import waits

    waits.limit_silence()


class ProbeServer(bootsteps.Step):
    """Serve /metrics and /health on METRICS_PORT (`[HOST:]PORT`), where that variable is set.

    This step runs before the worker connects to its broker, so health is answered without one.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **_: Any) -> None:
        from kafka_bridge.telemetry import metrics, probe

        # Counters start at zero, so that an alert sees the first failure as an increase
        # (metrics.py).
        for task in parent.app.tasks:
            if not task.startswith("celery."):
                metrics.TASKS.labels(task, "SUCCESS")
                metrics.TASKS.labels(task, "FAILURE")
        if where := text("METRICS_PORT").strip():
            probe.serve(probe.address(where))


class MainLoopPulse(bootsteps.StartStopStep):
    """Beat a pulse while the loop that hands out tasks runs.

    While the broker is down, Celery leaves this loop and retries. The pulse then ends, so that
    /health/live does not report a hang.
    """

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, parent: Any) -> None:
        from kafka_bridge.telemetry.pulse import Pulse

        self.pulse = Pulse("worker")
        self.pulse.beat(working=True)
        self.timer = parent.timer.call_repeatedly(PULSE_SECONDS, self.pulse.beat, kwargs={"working": True})

    def stop(self, parent: Any) -> None:
        self.timer.cancel()
        self.pulse.end()


@worker_process_shutdown.connect
def forget_gauges(pid: int, **_: Any) -> None:
    """Remove the gauges of a worker process that has ended; its counters stay."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)


@before_task_publish.connect
def send_trace(headers: dict[str, Any], **_: Any) -> None:
    """Put the caller's trace into the task's headers."""
    if header := traceparent.current():
        headers[traceparent.HEADER] = header
    if traces := traceparent.joined():
        headers[TRACES_HEADER] = list(traces)


@task_prerun.connect
def begin_task(task_id: str, task: "Task[..., Any]", **_: Any) -> None:
    """Continue the caller's trace and note the time."""
    stack = ExitStack()
    stack.enter_context(traceparent.continued(traceparent.trace_id_of(_header(task, traceparent.HEADER))))
    stack.enter_context(traceparent.joining(_header(task, TRACES_HEADER) or ()))
    _running[task_id] = stack, time.perf_counter()


def _header(task: "Task[..., Any]", name: str) -> Any:
    """Return a header of the task; an eager task keeps its headers in `request.headers`."""
    return task.request.get(name) or (task.request.headers or {}).get(name)


@task_postrun.connect
def end_task(task_id: str, task: "Task[..., Any]", state: str | None = None, **_: Any) -> None:
    """Count the task, observe its duration and log one line."""
    from kafka_bridge.telemetry import logs, metrics

    stack, began = _running.pop(task_id)
    with stack:
        seconds = time.perf_counter() - began
        metrics.TASKS.labels(task.name, state or "UNKNOWN").inc()
        metrics.TASK_SECONDS.labels(task.name).observe(seconds)
        logs.logger("mamochi_site.task").info(
            "task", task=task.name, id=task_id, state=state, ms=round(seconds * 1_000, 1)
        )
