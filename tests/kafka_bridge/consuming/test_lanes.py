"""The lanes of a consumer are processes that report and end as one.

The tests run `run_consumer` itself, on topics of their own.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Counts
from prometheus_client.parser import text_string_to_metric_families

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge.management.commands.run_consumer import MAIN_LANE_NICENESS
from kafka_bridge.publishing import producer
from kafka_bridge.telemetry import registry as telemetry_registry
from tests.support.prometheus import get, health
from tests.support.sandbox import SECONDS, Sandbox

HUNG = 8.0  # seconds after which a loop counts as hung here, instead of 60
GRACE = 5.0  # seconds that a lane may take to end here, instead of 20
SLOW = 100  # a number that takes the handler SLOW_SECONDS
SLOW_SECONDS = 20
PROGRAM = f"""
import json, os, sys, threading
import django, psutil
django.setup()
from django.core.management import execute_from_command_line
from kafka_bridge.consuming import handlers, lanes
from kafka_bridge.events.topics import Topic
from kafka_bridge.telemetry import probe
from tests.support.sandbox import Sandbox, happened_on

def report_fork() -> None:
    print(f"forks with {{threading.active_count()}} thread and {{psutil.Process().net_connections()}}", file=sys.stderr)

os.register_at_fork(before=report_fork)
probe.HUNG_SECONDS, lanes.GRACE_SECONDS = {HUNG}, {GRACE}
handlers.consumers.clear()
for name, event_type, consumer_name, lane in json.loads(sys.argv[1]):
    topic = Topic(name=name, partitions=2, priority_lane=lane)
    consumer = handlers.Consumer(consumer_name, 20)
    handlers.consumers[consumer.name] = consumer
    Sandbox(topic, happened_on(topic, event_type), consumer, slow={{{SLOW}: {SLOW_SECONDS}}})
execute_from_command_line(["manage.py", "run_consumer", *sys.argv[2:]])
"""


@dataclass
class Running:
    """A running consumer with two lanes, and perhaps others in the same program."""

    sandbox: Sandbox
    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def children(self) -> list[psutil.Process]:
        """The processes of all lanes but the first."""
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def paid(self) -> psutil.Process:
        """The process of the priority lane."""
        [child] = self.children
        return child

    def publish(self, *numbers: int, urgent: bool) -> None:
        kind = self.sandbox.event
        producer.publish(*[kind.now(id=uuid4(), n=n, name=str(n), urgent=urgent) for n in numbers])

    def metrics(self) -> str:
        return get(f"http://127.0.0.1:{self.port}/metrics")[1]

    def counted(self) -> dict[str, float]:
        """Return the numbers of applied messages, by lane."""
        return {
            sample.labels["lane"]: sample.value
            for family in text_string_to_metric_families(self.metrics())
            for sample in family.samples
            if sample.name == "mamochi_consumer_messages_total"
        }

    def ends(self) -> tuple[int, str]:
        """Wait until the consumer has ended. Return its exit code and its log."""
        return self.process.wait(SECONDS), self.log.read_text()


@pytest.fixture
def start(make_sandbox: Callable[..., Sandbox], table: None, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[psutil.Process] = []

    def start(*others: Sandbox, options: Sequence[str] = (), **extra: str) -> Running:
        sandbox, port, log = make_sandbox(lane="paid"), free_port(), tmp_path / "log"
        known = [(one.topic.name, one.event.type, one.consumer.name, "") for one in others]
        known.append((sandbox.topic.name, sandbox.event.type, sandbox.consumer.name, "paid"))
        url = re.sub(r"/[^/]*$", f"/{connection.settings_dict['NAME']}", os.environ["DATABASE_URL"])
        settings_module = {"DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
        environment = {**os.environ, "DATABASE_URL": url, **settings_module, **extra}
        argv = [
            sys.executable,
            "-c",
            PROGRAM,
            json.dumps(known),
            "--all" if others else sandbox.consumer.name,
            *("--metrics-port", f"127.0.0.1:{port}"),
            *options,
        ]
        with log.open("wb") as file:
            process = subprocess.Popen(
                argv, cwd=settings.BASE_DIR, env=environment, stderr=file, start_new_session=True
            )
        running = Running(sandbox, process, port, log)
        started.append(psutil.Process(process.pid))
        wait_until(lambda: health(port, "ready") == 200 or process.poll() is not None, SECONDS)
        started.extend(running.children)
        return running

    yield start
    for process in started:
        if process.is_running():
            process.kill()
            process.wait(SECONDS)


@pytest.mark.slow
def test_two_lanes_report_and_end_as_one(start: Callable[..., Running]) -> None:
    running = start()
    paid, name = running.paid, running.sandbox.consumer.name
    for partition in (0, 1):
        running.sandbox.send_raw(b"{", [], partition)
    running.publish(*range(3), urgent=True)
    running.publish(*range(10, 15), urgent=False)
    wait_until(lambda: sorted(running.sandbox.rows()) == [0, 1, 2, 10, 11, 12, 13, 14], SECONDS)
    wait_until(lambda: running.counted() == {"main": 6, "paid": 4}, SECONDS)
    check_the_page(running.metrics(), name)
    assert f'"{name}.paid": true' in get(f"http://127.0.0.1:{running.port}/health/ready")[1]
    running.process.send_signal(signal.SIGTERM)
    code, log = running.ends()
    assert (code, paid.is_running()) == (0, False), log
    assert log.count("forks with 1 thread and []") == 1
    assert log.count("gave back") == 2
    assert "Traceback" not in log


def check_the_page(page: str, consumer: str) -> None:
    """Check that Prometheus accepts the page: each family and each series is there once.

    Samples of both lanes with equal labels are added up.
    """
    families = list(text_string_to_metric_families(page))
    series = [(sample.name, *sorted(sample.labels.items())) for family in families for sample in family.samples]
    assert [one for one, times in Counter(series).items() if times > 1] == []
    helps = re.findall(r"^# HELP (\S+)", page, re.MULTILINE)
    assert len(helps) == len(set(helps))
    assert ("mamochi_consumer_batch_seconds_bucket", ("consumer", consumer), ("lane", "paid"), ("le", "0.5")) in series
    assert ("process_open_fds",) in series
    assert f'mamochi_consumer_dead_letters_total{{consumer="{consumer}",reason="unknown_type"}} 2.0' in page
    lags = [one.labels for family in families for one in family.samples if one.name == "mamochi_consumer_lag_messages"]
    assert {labels["partition"] for labels in lags} == {"0", "1"}


@pytest.mark.slow
def test_the_priority_lane_goes_first_on_a_full_core(start: Callable[..., Running]) -> None:
    running = start()
    main, paid = psutil.Process(running.process.pid), running.paid
    assert main.nice() == min(19, paid.nice() + MAIN_LANE_NICENESS) > 0


@pytest.mark.slow
def test_a_helper_goes_behind_the_priority_lane(start: Callable[..., Running]) -> None:
    running = start(options=["--helper"])
    main = psutil.Process(running.process.pid).nice()
    [paid, helper] = sorted(child.nice() for child in running.children)
    assert paid < helper == main


@pytest.mark.slow
def test_poison_in_one_lane_ends_both(start: Callable[..., Running]) -> None:
    running = start()
    for _ in range(120):
        running.sandbox.send_raw(b"{", [], partition=0)
    code, log = running.ends()
    assert code == 3
    last = log.strip().splitlines()[-1]
    assert f"{running.sandbox.consumer.name} stopped: more than 100 messages in a row failed" in last
    assert "fix the cause" in last
    assert "Traceback" not in log


@pytest.mark.slow
def test_a_killed_lane_ends_the_consumer(start: Callable[..., Running], tmp_path: Path) -> None:
    """The processes share a folder of metrics here."""
    running = start(PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    running.publish(1, urgent=True)
    running.publish(2, urgent=False)
    wait_until(lambda: running.counted() == {"main": 1, "paid": 1}, SECONDS)
    running.paid.kill()
    code, log = running.ends()
    assert (code, log.count("gave back")) == (1, 1)
    assert f"{running.sandbox.consumer.name}.paid was killed (SIGKILL): start the consumer again." in log


@pytest.mark.chaos
@pytest.mark.parametrize("killed", [False, True])
def test_a_helper_reports_and_ends_with_its_consumer(start: Callable[..., Running], killed: bool) -> None:
    running = start(options=["--helper"])
    children, name = running.children, running.sandbox.consumer.name
    ready = json.loads(get(f"http://127.0.0.1:{running.port}/health/ready")[1])
    assert ready == {"ready": True, name: True, f"{name}.paid": True, f"{name}.helper": True}
    [helper] = [child for child in children if not child.net_connections()]  # it waits, without a client
    if killed:
        helper.kill()
    else:
        running.process.send_signal(signal.SIGTERM)
    code, log = running.ends()
    assert (code, any(child.is_running() for child in children)) == (1 if killed else 0, False), log
    assert (f"{name}.helper was killed (SIGKILL): start the consumer again." in log) is killed
    assert "Traceback" not in log


@pytest.mark.slow
def test_all_consumers_run_as_one_program(start: Callable[..., Running], make_sandbox: Callable[..., Sandbox]) -> None:
    other = make_sandbox()
    running = start(other)
    children, name = running.children, running.sandbox.consumer.name
    other.publish(1, 2)
    running.publish(3, urgent=True)
    running.publish(4, urgent=False)
    wait_until(lambda: sorted(running.sandbox.rows()) == [1, 2, 3, 4], SECONDS)
    counted = 'mamochi_consumer_messages_total{consumer="%s",lane="main"} %s'
    wait_until(lambda: counted % (name, "1.0") in running.metrics(), SECONDS)
    wait_until(lambda: counted % (other.consumer.name, "2.0") in running.metrics(), SECONDS)
    ready = json.loads(get(f"http://127.0.0.1:{running.port}/health/ready")[1])
    assert ready == {"ready": True, other.consumer.name: True, name: True, f"{name}.paid": True}
    running.process.send_signal(signal.SIGTERM)
    code, log = running.ends()
    assert (code, len(children), any(child.is_running() for child in children)) == (0, 2, False), log
    assert log.count("gave back") == 3
    assert log.count("forks with 1 thread and []") == 2
    assert "Traceback" not in log


@pytest.mark.slow
def test_one_of_all_that_stops_is_named(start: Callable[..., Running], make_sandbox: Callable[..., Sandbox]) -> None:
    running = start(make_sandbox())
    children = running.children
    for _ in range(120):
        running.sandbox.send_raw(b"{", [], partition=1)
    code, log = running.ends()
    assert (code, any(child.is_running() for child in children)) == (3, False)
    assert f"{running.sandbox.consumer.name} stopped: more than 100 messages" in log.strip().splitlines()[-1]
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ([], "Name one of: .*contabilidad.*--all runs them all"),
        (["contabilidad", "nadie"], "Name one of: .*contabilidad.*--all runs them all"),
        (["--all", "contabilidad"], "leave out the names, or leave out --all"),
    ],
)
def test_the_choice_of_consumers_must_be_clear(arguments: list[str], remedy: str) -> None:
    with pytest.raises(CommandError, match=remedy):
        call_command("run_consumer", *arguments)


@pytest.mark.chaos
@pytest.mark.parametrize("busy", [False, True])
def test_no_lane_outlives_a_killed_consumer(start: Callable[..., Running], busy: bool) -> None:
    running = start()
    paid = running.paid
    if busy:
        running.publish(SLOW, urgent=True)
        wait_until(handler_sleeps, SECONDS)
    running.process.kill()
    wait_until(lambda: not paid.is_running(), 2 * GRACE)
    log = running.log.read_text()
    assert ("gave back" in log) is not busy  # it leaves its group, unless it hangs
    assert "Traceback" not in log


def handler_sleeps() -> bool:
    """Return whether a handler is busy with a slow number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%' AND datname = current_database()"
        )
        return cursor.fetchone() is not None


@pytest.mark.chaos
def test_a_lane_has_limited_time_to_end(start: Callable[..., Running]) -> None:
    running = start()
    paid = running.paid
    paid.suspend()
    running.process.terminate()
    code, log = running.ends()
    assert (code, paid.is_running()) == (1, False), log
    assert f"{running.sandbox.consumer.name}.paid did not end within 5 s" in log


@pytest.mark.chaos
def test_a_hanging_lane_is_neither_ready_nor_live(start: Callable[..., Running]) -> None:
    running = start()
    paid, name = running.paid, running.sandbox.consumer.name
    running.publish(0, urgent=True)
    wait_until(lambda: running.counted() == {"main": 0, "paid": 1} and health(running.port, "ready") == 200, SECONDS)
    paid.suspend()
    wait_until(lambda: f'"{name}.paid": false' in get(f"http://127.0.0.1:{running.port}/health/ready")[1], HUNG)
    assert health(running.port, "live") == 200
    running.publish(1, urgent=True)
    running.publish(2, urgent=False)
    wait_until(lambda: running.sandbox.rows() == [0, 2], SECONDS)  # the main lane does not wait for the other
    wait_until(lambda: health(running.port, "live") == 503, SECONDS)
    assert f"{name}.paid" in get(f"http://127.0.0.1:{running.port}/health/live")[1]
    paid.resume()
    wait_until(lambda: running.sandbox.rows() == [0, 2, 1], SECONDS)
    # Wait for a report of after the hang. An earlier one could be too old a moment later.
    wait_until(lambda: running.counted() == {"main": 1, "paid": 2}, SECONDS)
    wait_until(lambda: health(running.port, "ready") == health(running.port, "live") == 200, SECONDS)
    running.publish(SLOW, urgent=True)  # the process still sends reports: its loop hangs
    wait_until(lambda: health(running.port, "live") == 503, SECONDS)
    wait_until(lambda: health(running.port, "ready") == health(running.port, "live") == 200, SECONDS)
    os.killpg(running.process.pid, signal.SIGINT)  # Ctrl-C
    code, log = running.ends()
    assert (code, paid.is_running(), "Traceback" in log) == (0, False, False), log


def test_equal_series_of_lanes_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(by: int) -> CollectorRegistry:
        registry = CollectorRegistry()
        Counts("test_dead", "Dead.", ["reason"], registry=registry).labels("a").inc(by)
        Counts("test_alone", "Alone.", ["lane"], registry=registry).labels(str(by)).inc(by)
        Gauge("test_step", "Step.", registry=registry).set(by)
        Histogram("test_seconds", "Seconds.", registry=registry, buckets=[2.5]).observe(by)
        return registry

    monkeypatch.setattr(telemetry_registry, "REGISTRY", counted(2))
    monkeypatch.setitem(telemetry_registry.lane_metrics, "other", list(counted(3).collect()))
    page = generate_latest(telemetry_registry.process_registry()).decode()
    for line in ('test_dead_total{reason="a"} 5.0', 'test_alone_total{lane="2"} 2.0', 'test_alone_total{lane="3"} 3.0',
                 "test_step 3.0", 'test_seconds_bucket{le="2.5"} 1.0', "test_seconds_count 2.0"):  # fmt: skip
        assert page.splitlines().count(line) == 1
    series = re.findall(r"^([^# ]\S*) ", page, re.MULTILINE)
    assert len(series) == len(set(series))
    assert page.count("# HELP test_dead_total") == 1
