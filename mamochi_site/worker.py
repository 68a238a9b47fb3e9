"""What Celery tells of its tasks: one log line each, metrics, and the trace of the request that caused them."""

import time
from contextlib import ExitStack
from typing import Any, Final

from celery import Task
from celery.signals import before_task_publish, setup_logging, task_postrun, task_prerun

from kafka_bridge import traceparent

_running: Final[dict[str, tuple[ExitStack, float]]] = {}  # by task id; a worker's process runs one at a time


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Whoever connects here has Celery leave the loggers as Django's settings made them."""


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
