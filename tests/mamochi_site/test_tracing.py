"""Traces continue from requests and batches to tasks, and from a form to its approval."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from celery import shared_task

from deploy.embedded.waiting import wait_until
from inscripciones.events import InscripcionAprobada
from kafka_bridge.events.codec import encode
from kafka_bridge.telemetry import traceparent
from mamochi_site.background import worker
from tests.support.consumers import celery_worker
from tests.support.log_lines import LineKeeper, of_event

SECONDS = 60.0
TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER = "1af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def keeper() -> Iterator[LineKeeper]:
    handler = LineKeeper()
    yield handler
    logging.getLogger().removeHandler(handler)


@shared_task
def say_hello() -> None:
    logging.getLogger("app").info("hello from the task")


def test_task_continues_the_trace_in_one_line(stack: object, keeper: LineKeeper) -> None:
    queue, lines = f"trace-{uuid4()}", keeper.lines
    with celery_worker(pool="solo", queues=[queue], loglevel="INFO"):
        logging.getLogger().addHandler(keeper)  # the worker has configured logging again
        with traceparent.continued(TRACE):
            say_hello.apply_async(queue=queue)
        wait_until(lambda: bool(of_event(lines, "task")), SECONDS)
    assert [line["trace_id"] for line in of_event(lines, "hello from the task")] == [TRACE]
    [line] = of_event(lines, "task")
    assert (line["task"], line["state"], line["trace_id"]) == (say_hello.name, "SUCCESS", TRACE)


def test_task_of_a_batch_gets_all_traces() -> None:
    headers: dict[str, Any] = {}
    with traceparent.continued(""), traceparent.joining([TRACE, OTHER]):
        worker.send_trace(headers=headers)
    assert headers[worker.TRACES_HEADER] == [TRACE, OTHER]


def test_approval_continues_the_trace_of_its_form() -> None:
    inscripcion = uuid4()
    aprobada = InscripcionAprobada.now(
        id=uuid4(),
        inscripcion_id=inscripcion,
        maestro_id=uuid4(),
        nombre="Rosa",
        email="rosa@example.cl",
        aprobada_en=datetime.now(UTC),
    )
    traces = {str(inscripcion): TRACE}
    with traceparent.continued(""), traceparent.joining([TRACE], lambda key: traces.get(key, "")):
        assert traceparent.trace_id_of(dict(encode(aprobada).headers)["traceparent"]) == TRACE
