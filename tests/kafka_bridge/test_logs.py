"""What the lines say, what they never say, and the trace from a request to the task that it causes."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from celery import shared_task
from celery.contrib.testing.worker import start_worker
from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from deploy.embedded.waiting import wait_until
from inscripciones.events import InscripcionAprobada
from kafka_bridge.events.codec import encode
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import outbox, producer, relay
from kafka_bridge.telemetry import logs, traceparent
from mamochi_site import worker
from mamochi_site.celery import app
from tests.support.sandbox import SECONDS, Sandbox

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADER = f"00-{TRACE}-b7ad6b7169203331-01"
Lines = list[dict[str, Any]]


class Kept(logging.Handler):
    """Keeps each record as the JSON line that production would write."""

    def __init__(self) -> None:
        super().__init__()
        formatter = dict(logs.configure("json")["formatters"]["line"])
        self.setFormatter(formatter.pop("()")(**formatter))
        self.lines: Lines = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def lines(kept: Kept) -> Lines:
    return kept.lines


def of(lines: Lines, event: str) -> Lines:
    return [line for line in lines if line["event"] == event]


class Site:
    """A view that publishes, under the real middleware."""

    sandbox: ClassVar[Sandbox]

    @classmethod
    def publish(cls, _request: HttpRequest, count: int) -> HttpResponse:
        cls.sandbox.publish(*range(count))
        return HttpResponse("ok")


urlpatterns = [path("publica/<int:count>/", Site.publish)]


@pytest.fixture
def site(sandbox: Sandbox) -> Iterator[Sandbox]:
    Site.sandbox = sandbox
    with override_settings(ROOT_URLCONF=__name__):
        yield sandbox


def test_a_request_is_one_line_with_the_events_it_published(site: Sandbox, lines: Lines, client: Client) -> None:
    client.get("/publica/3/?q=12.345.678-5", headers={"traceparent": HEADER})
    [line] = of(lines, "request")
    assert line["route"] == "publica/<int:count>/"
    assert (line["method"], line["status"], line["events"], line["trace_id"]) == ("GET", 200, 3, TRACE)
    assert UUID(line["first"]) != UUID(line["last"])
    assert line["ms"] > 0
    assert "12.345.678-5" not in json.dumps(lines)


def test_the_trace_goes_from_the_request_through_kafka_to_the_handler_and_its_task(
    site: Sandbox, lines: Lines, client: Client
) -> None:
    ids: list[str] = []

    def handle(events: list[Any]) -> None:
        logging.getLogger("app").info("handling")
        say_hello.apply_async(headers={})
        ids.extend(str(event.id) for event in events)

    site.consumer.handlers[site.event] = handle
    client.get("/publica/1/", headers={"traceparent": HEADER})
    with site.running(site.runner()):
        wait_until(lambda: bool(of(lines, "batch")), SECONDS)
    [batch] = of(lines, "batch")
    assert (batch["trace_id"], batch["messages"], batch["events"], batch["lane"]) == (TRACE, 1, 1, "main")
    assert batch["consumer"] == site.consumer.name
    assert 0 <= batch["delay_s"] < SECONDS
    assert [line["trace_id"] for line in of(lines, "handling")] == [TRACE]
    assert of(lines, "request")[0]["first"] == batch["first"] == ids[0]


@shared_task
def say_hello() -> None:
    logging.getLogger("app").info("hello from the task")


def test_a_task_goes_on_with_the_trace_and_is_one_line(stack: object, kept: Kept) -> None:
    queue, lines = f"trace-{uuid4()}", kept.lines
    with start_worker(app, pool="solo", perform_ping_check=False, queues=[queue], loglevel="INFO"):
        logging.getLogger().addHandler(kept)  # a worker configures logging anew
        with traceparent.continued(TRACE):
            say_hello.apply_async(queue=queue)
        wait_until(lambda: bool(of(lines, "task")), SECONDS)
    assert [line["trace_id"] for line in of(lines, "hello from the task")] == [TRACE]
    [line] = of(lines, "task")
    assert (line["task"], line["state"], line["trace_id"]) == (say_hello.name, "SUCCESS", TRACE)


def test_in_a_batch_of_several_requests_each_derived_event_goes_on_with_its_causes_trace(
    site: Sandbox, lines: Lines, make_sandbox: Callable[..., Sandbox]
) -> None:
    """And the lines of the handler, of the batch and of the task that it asks for name them all."""
    derived, traces = make_sandbox(), {str(number): f"{number:032x}" for number in range(1, 4)}
    headers: list[dict[str, Any]] = []

    def handle(events: list[Any]) -> None:
        outbox.add(*[derived.happened(event.n, event.key) for event in events])
        logging.getLogger("app").info("handling")
        headers.append({})
        worker.send_trace(headers=headers[-1])

    site.consumer.handlers[site.event] = handle
    for key, trace in traces.items():
        with traceparent.continued(trace):
            producer.publish(*[site.event.now(id=uuid4(), n=int(key), name=key) for _ in range(2)])
    with site.running(site.runner()):
        wait_until(lambda: OutboxMessage.objects.count() == 6, SECONDS)
    for row in OutboxMessage.objects.all():
        carried = traceparent.trace_id_of(dict(row.headers)["traceparent"])
        assert carried == traces[bytes(row.key).decode()]
    several = [line for line in of(lines, "batch") if "traces" in line]
    assert several, "the batches were all of one request: nothing is tested"
    handled = {line["trace_id"]: line["traces"] for line in of(lines, "handling") if "traces" in line}
    for line in several:
        assert handled[line["trace_id"]] == line["traces"]
        assert set(line["traces"]) <= set(traces.values())
        assert line["trace_id"] not in traces.values()
    assert [header[worker.TRACES_HEADER] for header in headers if worker.TRACES_HEADER in header] == list(
        handled.values()
    )


def test_the_many_events_of_one_request_go_on_with_its_trace(site: Sandbox, lines: Lines) -> None:
    with traceparent.continued(TRACE):
        site.publish(*range(50), key="same")
    with site.running(site.runner()):
        wait_until(lambda: len(site.rows()) == 50, SECONDS)
    assert {line["trace_id"] for line in of(lines, "batch")} == {TRACE}


def test_an_approval_goes_on_with_the_trace_of_its_form() -> None:
    inscripcion = uuid4()
    aprobada = InscripcionAprobada.now(
        id=uuid4(), inscripcion_id=inscripcion, maestro_id=uuid4(), nombre="Rosa", email="rosa@example.cl",
        aprobada_en=datetime.now(UTC),
    )  # fmt: skip
    with traceparent.continued(""), traceparent.met([TRACE], {str(inscripcion): TRACE}.get):  # type: ignore[arg-type]
        assert traceparent.trace_id_of(dict(encode(aprobada).headers)["traceparent"]) == TRACE


def test_the_trace_survives_the_outbox(sandbox: Sandbox, transactional_db: None) -> None:
    with traceparent.continued(TRACE), transaction.atomic():
        outbox.add(sandbox.happened(1))
    headers = dict(OutboxMessage.objects.get().headers)
    assert traceparent.trace_id_of(headers["traceparent"]) == TRACE
    assert relay.step()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        HEADER.upper(),
        "00-" + "é" * 60,
    ],
)
def test_a_malformed_header_begins_a_new_trace(header: str) -> None:
    assert traceparent.trace_id_of(header) == traceparent.trace_id_of(header.encode()) == ""
    with traceparent.continued(traceparent.trace_id_of(header)) as trace_id:
        assert traceparent.trace_id_of(traceparent.current()) == trace_id
        assert len(trace_id) == 32


@pytest.mark.parametrize(
    "text",
    [
        "12.345.678-5", "12345678-K", "rosa@example.cl", "Bearer abc.def", "mmc_0123456789abcdef", "redis://:clave@h:1/0",
        'duplicate key\nDETAIL:  Key (nombre)=(Rosa Ñáñez) already exists.',
    ],
)  # fmt: skip
def test_no_line_holds_personal_data(lines: Lines, text: str) -> None:
    logging.getLogger("app").warning("what arrived: %s.", text)
    logs.logger("app").warning("another", detail=f"what arrived: {text}")
    told = json.dumps(lines, ensure_ascii=False)
    for secret in (text, "Rosa", "clave", "12345678"):
        assert secret not in told
    assert "what arrived" in told


def test_ids_and_times_are_not_taken_for_a_rut(lines: Lines) -> None:
    text = "12345678-9abc-4def-8123-456789abcdef 2026-11-23T15:04:05 mamochi.ventas[3] @ 12345678"
    logging.getLogger("app").warning(text)
    assert lines[-1]["event"] == text


def test_an_error_of_the_database_is_told_without_its_row(lines: Lines, db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE secreta (nombre text CHECK (length(nombre) < 3)) ON COMMIT DROP")
        try:
            cursor.execute("INSERT INTO secreta VALUES (%s)", ["".join(["Ro", "sa"])])
        except IntegrityError:
            logging.getLogger("app").exception("it failed")
            logs.logger("app").error("again", exc_info=True)
    for line in lines:
        assert "IntegrityError 23514" in line["exception"]
        assert "test_logs.py" in line["exception"]
        assert "Rosa" not in json.dumps(line, ensure_ascii=False)
    assert len(lines) == 2


def test_the_line_of_a_batch_does_not_grow_with_it(site: Sandbox, lines: Lines) -> None:
    site.publish(*range(300))
    with site.running(site.runner()):
        wait_until(lambda: len(site.rows()) == 300, SECONDS)
    assert all(len(json.dumps(line)) < 700 for line in of(lines, "batch"))


def test_a_terminal_gets_readable_lines() -> None:
    formatter = dict(logs.configure("text")["formatters"]["line"])
    record = logging.LogRecord("app", logging.INFO, "", 0, "all %s", ("good",), None)
    line = formatter.pop("()")(**formatter).format(record)
    assert "all good" in line
    assert not line.startswith("{")
