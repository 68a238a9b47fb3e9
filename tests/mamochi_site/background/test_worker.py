"""A real Celery worker whose broker stops: the worker waits and continues, without a restart."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from deploy.embedded import Stack
from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until

SECONDS = 60.0
WORKER = """
import sys, time, django
django.setup()
from kafka_bridge.telemetry import probe
probe.HUNG_SECONDS = 4.0
from mamochi_site.celery import app

@app.task(name="lenta")
def lenta(which):
    print(which, "has begun", flush=True)
    time.sleep(8)  # long enough for the broker to stop during the task

if sys.argv[1:]:
    app.send_task("lenta", sys.argv[1:])
else:
    app.worker_main(["worker", "--concurrency", "2", "--without-mingle", "--loglevel", "INFO"])
"""
COMMAND = [sys.executable, "-c", WORKER]
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.usefixtures("db")]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stack]:
    """Run a broker for Celery that only this test uses."""
    others = {name: os.environ[name] for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "EMAIL_URL")}
    with Stack(tmp_path / "valkey", durable=False, environ=others) as stack:
        yield stack


def test_worker_without_broker_is_live_and_not_ready(own: Stack, tmp_path: Path) -> None:
    """Here a hang is reported after 4 s; Celery's third try comes after 6 s."""
    with running_worker(own, tmp_path) as worker:
        own.processes["valkey"].stop(timeout=5)
        wait_until(lambda: "(2/100)" in worker.log.read_text(), SECONDS)
        assert (worker.status("live"), worker.status("ready")) == (200, 503), worker.log.read_text()[-2_000:]
        wait_until(lambda: "(3/100)" in worker.log.read_text(), SECONDS)
        assert (worker.status("live"), worker.status("ready")) == (200, 503), worker.log.read_text()[-2_000:]
        own.restart("valkey")
        wait_until(lambda: worker.status("ready") == 200, SECONDS)


def test_worker_survives_loss_of_broker_during_task(own: Stack, tmp_path: Path) -> None:
    """Celery 5.7.0 ends with an AttributeError here.

    It closes a connection twice, and a message is not acknowledged.
    """
    with running_worker(own, tmp_path) as worker:
        worker.begin_task("the first task")
        own.processes["valkey"].kill()
        wait_until(lambda: "Cannot connect" in worker.log.read_text() or not worker.running, SECONDS)
        assert worker.running, worker.log.read_text()[-2_000:]
        own.restart("valkey")
        wait_until(lambda: worker.status("ready") == 200, SECONDS)
        worker.begin_task("another")


class Worker:
    """A worker's process, with its log and its health."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port, self.log = free_port(), log
        self.environment = environment | {"METRICS_PORT": f"127.0.0.1:{self.port}"}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                COMMAND, cwd=settings.BASE_DIR, env=self.environment, stdout=file, stderr=file
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def begin_task(self, task: str) -> None:
        """Send the task, and wait until the worker has begun it."""
        subprocess.run([*COMMAND, task], cwd=settings.BASE_DIR, env=self.environment, check=True)
        wait_until(lambda: f"{task} has begun" in self.log.read_text(), SECONDS)

    def status(self, probe: str) -> int:
        """Return the status of /health/PROBE; 0 if there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/{probe}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


@contextmanager
def running_worker(stack: Stack, tmp_path: Path) -> Iterator[Worker]:
    environment = {**os.environ, **stack.environment(), "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
    worker = Worker(environment, tmp_path / "log")
    try:
        wait_until(lambda: worker.status("ready") == 200, SECONDS)
        yield worker
    finally:
        worker.process.terminate()
        worker.process.wait(SECONDS)
