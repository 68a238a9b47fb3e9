"""What Celery tells of its tasks: one log line each, metrics, and the trace of the request that caused them."""

import os
import time
from contextlib import ExitStack
from typing import Any, Final

from celery import Task
from celery.signals import (
    before_task_publish,
    heartbeat_sent,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_process_shutdown,
    worker_ready,
)

from kafka_bridge import traceparent

_running: Final[dict[str, tuple[ExitStack, float]]] = {}  # by task id; a worker's process runs one at a time


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Whoever connects here has Celery leave the loggers as Django's settings made them."""


@worker_ready.connect
def serve_metrics(**_: Any) -> None:
    """/metrics and /health on METRICS_PORT, where that is set (as `[HOST:]PORT`)."""
    from kafka_bridge import probe

    beat()
    if where := os.environ.get("METRICS_PORT"):
        probe.serve(probe.address(where))


@heartbeat_sent.connect
def beat(**_: Any) -> None:
    """The worker's main loop, which hands tasks out, comes round."""
    from kafka_bridge.observed import Pulse, pulses

    (pulses.get("worker") or Pulse("worker")).beat(working=True)


@worker_process_shutdown.connect
def forget_gauges(pid: int, **_: Any) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)  # type: ignore[no-untyped-call]


@before_task_publish.connect
def send_trace(headers: dict[str, Any], **_: Any) -> None:
    """A task goes on with the trace of what asked for it."""
    if header := traceparent.current():
        headers[traceparent.HEADER] = header


@task_prerun.connect
def begin(task_id: str, task: "Task[..., Any]", **_: Any) -> None:
    stack = ExitStack()
    header = task.request.get(traceparent.HEADER) or (task.request.headers or {}).get(traceparent.HEADER)  # if eager
    stack.enter_context(traceparent.continued(traceparent.trace_id_of(header)))
    _running[task_id] = stack, time.perf_counter()


@task_postrun.connect
def end(task_id: str, task: "Task[..., Any]", state: str | None = None, **_: Any) -> None:
    from kafka_bridge import logs, metrics

    stack, began = _running.pop(task_id)
    with stack:
        seconds = time.perf_counter() - began
        metrics.TASKS.labels(task.name, state or "UNKNOWN").inc()
        metrics.TASK_SECONDS.labels(task.name).observe(seconds)
        logs.logger("mamochi_site.task").info(
            "task", task=task.name, id=task_id, state=state, ms=round(seconds * 1_000, 1)
        )
