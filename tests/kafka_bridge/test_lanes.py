"""A consumer's lanes are processes: they tell as one, none outlives another. `run_consumer` itself, on topics of our own."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from django.conf import settings
from django.db import connection
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Counts
from prometheus_client.parser import text_string_to_metric_families

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge.monitoring import scrape
from kafka_bridge.publishing import producer
from kafka_bridge.telemetry import registry as telemetry_registry
from tests.support.prometheus import get, health
from tests.support.sandbox import SECONDS, Sandbox

PATIENCE = 8.0  # seconds that a loop may hang here, instead of a minute
GRACE = 5.0  # and take to end, instead of 20
SLOW = range(100, 120)  # a second each
PROGRAM = f"""
import os, sys, threading
import django, psutil
django.setup()
from django.core.management import execute_from_command_line
from kafka_bridge import handlers, lanes, probe
from kafka_bridge.topics import Topic
from tests.support.sandbox import Sandbox, happened_on

def tell() -> None:
    print(f"forks with {{threading.active_count()}} thread and {{psutil.Process().net_connections()}}", file=sys.stderr)

os.register_at_fork(before=tell)
probe.HUNG_SECONDS, lanes.GRACE_SECONDS = {PATIENCE}, {GRACE}
topic = Topic(name=sys.argv[1], partitions=2, priority_lane="paid")
consumer = handlers.Consumer(sys.argv[3], 20)
handlers.consumers[consumer.name] = consumer
Sandbox(topic, happened_on(topic, sys.argv[2]), consumer, slow=set({SLOW}))
execute_from_command_line(["manage.py", "run_consumer", consumer.name, "--metrics-port", sys.argv[4]])
"""


@dataclass
class Running:
    """A consumer with two lanes, on its way."""

    sandbox: Sandbox
    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def paid(self) -> psutil.Process:
        """The other lane's process."""
        [child] = psutil.Process(self.process.pid).children(recursive=True)
        return child

    def publish(self, *numbers: int, urgent: bool) -> None:
        kind = self.sandbox.event
        producer.publish(*[kind.now(id=uuid4(), n=n, name=str(n), urgent=urgent) for n in numbers])

    def metrics(self) -> str:
        return get(f"http://127.0.0.1:{self.port}/metrics")[1]

    def counted(self) -> dict[str, float]:
        """Applied messages by lane."""
        return {
            sample.labels["lane"]: sample.value
            for family in text_string_to_metric_families(self.metrics())
            for sample in family.samples
            if sample.name == "mamochi_consumer_messages_total"
        }

    def ends(self) -> tuple[int, str]:
        """Its exit code and all it said."""
        return self.process.wait(SECONDS), self.log.read_text()


@pytest.fixture
def start(make_sandbox: Callable[..., Sandbox], table: None, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[psutil.Process] = []

    def start(**extra: str) -> Running:
        sandbox, port, log = make_sandbox(lane="paid"), free_port(), tmp_path / "log"
        url = re.sub(r"/[^/]*$", f"/{connection.settings_dict['NAME']}", os.environ["DATABASE_URL"])
        settings_module = {"DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
        environment = {**os.environ, "DATABASE_URL": url, **settings_module, **extra}
        argv = [
            sys.executable,
            "-c",
            PROGRAM,
            sandbox.topic.name,
            sandbox.event.type,
            sandbox.consumer.name,
            f"127.0.0.1:{port}",
        ]
        with log.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603
                argv, cwd=settings.BASE_DIR, env=environment, stderr=file, start_new_session=True
            )
        running = Running(sandbox, process, port, log)
        started.append(psutil.Process(process.pid))
        wait_until(lambda: health(port, "ready") == 200 or process.poll() is not None, SECONDS)
        started.append(running.paid)
        return running

    yield start
    for process in started:
        if process.is_running():
            process.kill()
            process.wait(SECONDS)


def test_two_lanes_are_two_processes_that_tell_and_end_as_one(start: Callable[..., Running]) -> None:
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
    code, said = running.ends()
    assert (code, paid.is_running()) == (0, False), said
    assert said.count("forks with 1 thread and []") == 1
    assert said.count("gave back") == 2
    assert "Traceback" not in said


def check_the_page(page: str, consumer: str) -> None:
    """Valid for Prometheus: each family once, each series once; what both count with the same labels is added up."""
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


def test_poison_in_the_paid_lane_ends_the_consumer_with_what_to_do(start: Callable[..., Running]) -> None:
    running = start()
    for _ in range(120):
        running.sandbox.send_raw(b"{", [], partition=0)
    code, said = running.ends()
    assert code == 3
    last = said.strip().splitlines()[-1]
    assert f"{running.sandbox.consumer.name} stopped: more than 100 messages in a row failed" in last
    assert "mend the cause" in last
    assert "Traceback" not in said


def test_a_lane_that_is_killed_ends_the_consumer_which_says_so(start: Callable[..., Running], tmp_path: Path) -> None:
    """Its processes count in a shared folder here."""
    running = start(PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    running.publish(1, urgent=True)
    running.publish(2, urgent=False)
    wait_until(lambda: running.counted() == {"main": 1, "paid": 1}, SECONDS)
    running.paid.kill()
    code, said = running.ends()
    assert (code, said.count("gave back")) == (1, 1)
    assert f"{running.sandbox.consumer.name}.paid was killed (SIGKILL): start the consumer again." in said


@pytest.mark.chaos
@pytest.mark.parametrize("busy", [False, True])
def test_no_lane_outlives_a_consumer_that_is_killed(start: Callable[..., Running], busy: bool) -> None:
    running = start()
    paid = running.paid
    if busy:
        running.publish(*SLOW, urgent=True)
        wait_until(sleeps, SECONDS)
    running.process.kill()
    wait_until(lambda: not paid.is_running(), 2 * GRACE)
    said = running.log.read_text()
    assert ("gave back" in said) is not busy  # its group knows, unless it hangs: that is not waited for
    assert "Traceback" not in said


def sleeps() -> bool:
    """Whether a handler is busy with what is slow."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%' AND datname = current_database()"
        )
        return cursor.fetchone() is not None


@pytest.mark.chaos
def test_a_lane_that_does_not_end_in_time_is_killed(start: Callable[..., Running]) -> None:
    running = start()
    paid = running.paid
    paid.suspend()
    running.process.terminate()
    code, said = running.ends()
    assert (code, paid.is_running()) == (1, False), said
    assert f"{running.sandbox.consumer.name}.paid did not end within 5 s" in said


@pytest.mark.chaos
def test_a_lane_that_hangs_is_not_ready_at_once_and_to_be_restarted_when_it_goes_on(
    start: Callable[..., Running],
) -> None:
    running = start()
    paid, name = running.paid, running.sandbox.consumer.name
    running.publish(0, urgent=True)
    wait_until(lambda: running.counted() == {"main": 0, "paid": 1} and health(running.port, "ready") == 200, SECONDS)
    paid.suspend()
    wait_until(lambda: f'"{name}.paid": false' in get(f"http://127.0.0.1:{running.port}/health/ready")[1], PATIENCE)
    assert health(running.port, "live") == 200
    running.publish(1, urgent=True)
    running.publish(2, urgent=False)
    wait_until(lambda: running.sandbox.rows() == [0, 2], SECONDS)  # the main lane does not wait for it
    wait_until(lambda: health(running.port, "live") == 503, SECONDS)
    assert f"{name}.paid" in get(f"http://127.0.0.1:{running.port}/health/live")[1]
    paid.resume()
    wait_until(lambda: running.sandbox.rows() == [0, 2, 1], SECONDS)
    # Told since. What came first was of before the hang's end, and could be too old a moment later.
    wait_until(lambda: running.counted() == {"main": 1, "paid": 2}, SECONDS)
    wait_until(lambda: health(running.port, "ready") == health(running.port, "live") == 200, SECONDS)
    running.publish(*SLOW, urgent=True)  # its process goes on telling: that its loop does not come round
    wait_until(lambda: health(running.port, "live") == 503, SECONDS)
    wait_until(lambda: health(running.port, "ready") == health(running.port, "live") == 200, SECONDS)
    os.killpg(running.process.pid, signal.SIGINT)  # Ctrl-C
    code, said = running.ends()
    assert (code, paid.is_running(), "Traceback" in said) == (0, False, False), said


def test_what_processes_count_alike_is_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(by: int) -> CollectorRegistry:
        registry = CollectorRegistry()
        Counts("test_dead", "Dead.", ["reason"], registry=registry).labels("a").inc(by)
        Counts("test_alone", "Alone.", ["lane"], registry=registry).labels(str(by)).inc(by)
        Gauge("test_step", "Step.", registry=registry).set(by)
        Histogram("test_seconds", "Seconds.", registry=registry, buckets=[2.5]).observe(by)
        return registry

    monkeypatch.setattr(scrape, "REGISTRY", counted(2))
    monkeypatch.setitem(telemetry_registry.lane_metrics, "other", list(counted(3).collect()))
    page = generate_latest(telemetry_registry.process_registry()).decode()
    for line in ('test_dead_total{reason="a"} 5.0', 'test_alone_total{lane="2"} 2.0', 'test_alone_total{lane="3"} 3.0',
                 "test_step 3.0", 'test_seconds_bucket{le="2.5"} 1.0', "test_seconds_count 2.0"):  # fmt: skip
        assert page.splitlines().count(line) == 1
    series = re.findall(r"^([^# ]\S*) ", page, re.MULTILINE)
    assert len(series) == len(set(series))
    assert page.count("# HELP test_dead_total") == 1
