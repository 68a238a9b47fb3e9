"""What Celery tells of its tasks: one log line each, metrics, and the trace of the request that caused them."""

import os
import time
from contextlib import ExitStack
from typing import Any, Final

from celery import Task, bootsteps
from celery.signals import (
    before_task_publish,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_process_shutdown,
)

from kafka_bridge.telemetry import traceparent

TRACES: Final = "mamochi_traces"  # a task's header: the traces that met in the batch that asked for it
BEAT_SECONDS: Final = 2.0
_running: Final[dict[str, tuple[ExitStack, float]]] = {}  # by task id; a worker's process runs one at a time


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Whoever connects here has Celery leave the loggers as Django's settings made them."""


class Probe(bootsteps.Step):
    """/metrics and /health on METRICS_PORT, where that is set (as `[HOST:]PORT`), before there is any broker to connect to."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **_: Any) -> None:
        from kafka_bridge.telemetry import metrics, probe

        for task in parent.app.tasks:
            if not task.startswith("celery."):  # from zero: see metrics.py
                metrics.TASKS.labels(task, "SUCCESS"), metrics.TASKS.labels(task, "FAILURE")
        if where := os.environ.get("METRICS_PORT"):
            probe.serve(probe.address(where))


class MainLoop(bootsteps.StartStopStep):
    """The pulse of the loop that hands tasks out. Without its broker Celery leaves that loop: nothing then hangs, it waits."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, parent: Any) -> None:
        from kafka_bridge.telemetry.pulse import Pulse

        self.pulse = Pulse("worker")
        self.pulse.beat(working=True)
        self.timer = parent.timer.call_repeatedly(BEAT_SECONDS, self.pulse.beat, kwargs={"working": True})

    def stop(self, parent: Any) -> None:
        self.timer.cancel()
        self.pulse.end()


@worker_process_shutdown.connect
def forget_gauges(pid: int, **_: Any) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)


@before_task_publish.connect
def send_trace(headers: dict[str, Any], **_: Any) -> None:
    """A task goes on with the trace of what asked for it."""
    if header := traceparent.current():
        headers[traceparent.HEADER] = header
    if traces := traceparent.joined():
        headers[TRACES] = list(traces)


@task_prerun.connect
def begin(task_id: str, task: "Task[..., Any]", **_: Any) -> None:
    stack = ExitStack()
    stack.enter_context(traceparent.continued(traceparent.trace_id_of(_header(task, traceparent.HEADER))))
    stack.enter_context(traceparent.joining(_header(task, TRACES) or ()))
    _running[task_id] = stack, time.perf_counter()


def _header(task: "Task[..., Any]", name: str) -> Any:
    return task.request.get(name) or (task.request.headers or {}).get(name)  # the second where it is eager


@task_postrun.connect
def end(task_id: str, task: "Task[..., Any]", state: str | None = None, **_: Any) -> None:
    from kafka_bridge.telemetry import logs, metrics

    stack, began = _running.pop(task_id)
    with stack:
        seconds = time.perf_counter() - began
        metrics.TASKS.labels(task.name, state or "UNKNOWN").inc()
        metrics.TASK_SECONDS.labels(task.name).observe(seconds)
        logs.logger("mamochi_site.task").info(
            "task", task=task.name, id=task_id, state=state, ms=round(seconds * 1_000, 1)
        )
