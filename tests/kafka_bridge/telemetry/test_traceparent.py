import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client

from deploy.embedded.waiting import wait_until
from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import outbox, producer, relay
from kafka_bridge.telemetry import traceparent
from tests.support.log_lines import Lines, of_event
from tests.support.sandbox import SECONDS, Sandbox

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADER = f"00-{TRACE}-b7ad6b7169203331-01"


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
def test_malformed_header_starts_a_new_trace(header: str) -> None:
    assert traceparent.trace_id_of(header) == traceparent.trace_id_of(header.encode()) == ""
    with traceparent.continued(traceparent.trace_id_of(header)) as trace_id:
        assert traceparent.trace_id_of(traceparent.current()) == trace_id
        assert len(trace_id) == 32


def test_handler_continues_the_requests_trace(site: Sandbox, lines: Lines, client: Client) -> None:
    ids: list[str] = []

    def handle(events: list[Any]) -> None:
        logging.getLogger("app").info("handling")
        ids.extend(str(event.id) for event in events)

    site.consumer.handlers[site.event] = handle
    client.get("/publish/1/", headers={"traceparent": HEADER})
    with site.running(site.runner()):
        wait_until(lambda: bool(of_event(lines, "batch")), SECONDS)
    [batch] = of_event(lines, "batch")
    assert (batch["trace_id"], batch["messages"], batch["events"], batch["lane"]) == (TRACE, 1, 1, "main")
    assert batch["consumer"] == site.consumer.name
    assert 0 <= batch["delay_s"] < SECONDS
    assert [line["trace_id"] for line in of_event(lines, "handling")] == [TRACE]
    assert of_event(lines, "request")[0]["first"] == batch["first"] == ids[0]


def test_derived_events_inherit_their_causes_trace(
    sandbox: Sandbox, lines: Lines, make_sandbox: Callable[..., Sandbox]
) -> None:
    """In a batch of several requests; its lines name all their traces."""
    derived, traces = make_sandbox(), {str(number): f"{number:032x}" for number in range(1, 4)}
    joined: list[tuple[str, ...]] = []

    def handle(events: list[Any]) -> None:
        outbox.add(*[derived.happened(event.n, event.key) for event in events])
        logging.getLogger("app").info("handling")
        joined.append(traceparent.joined())

    sandbox.consumer.handlers[sandbox.event] = handle
    for key, trace in traces.items():
        with traceparent.continued(trace):
            producer.publish(*[sandbox.event.now(id=uuid4(), n=int(key), name=key) for _ in range(2)])
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: OutboxMessage.objects.count() == 6, SECONDS)
    for row in OutboxMessage.objects.all():
        carried = traceparent.trace_id_of(dict(row.headers)["traceparent"])
        assert carried == traces[bytes(row.key).decode()]
    several = [line for line in of_event(lines, "batch") if "traces" in line]
    assert several, "the batches were all of one request: nothing is tested"
    handled = {line["trace_id"]: line["traces"] for line in of_event(lines, "handling") if "traces" in line}
    for line in several:
        assert handled[line["trace_id"]] == line["traces"]
        assert set(line["traces"]) <= set(traces.values())
        assert line["trace_id"] not in traces.values()
    assert [list(one) for one in joined if one] == list(handled.values())


def test_many_events_share_the_requests_trace(sandbox: Sandbox, lines: Lines) -> None:
    with traceparent.continued(TRACE):
        sandbox.publish(*range(50), key="same")
    with sandbox.running(sandbox.runner()):
        wait_until(lambda: len(sandbox.rows()) == 50, SECONDS)
    assert {line["trace_id"] for line in of_event(lines, "batch")} == {TRACE}


def test_trace_survives_the_outbox(sandbox: Sandbox, transactional_db: None) -> None:
    with traceparent.continued(TRACE), transaction.atomic():
        outbox.add(sandbox.happened(1))
    headers = dict(OutboxMessage.objects.get().headers)
    assert traceparent.trace_id_of(headers["traceparent"]) == TRACE
    assert relay.step()
