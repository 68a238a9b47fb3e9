"""Run consumers, the relay, a Celery worker or any other loop in threads of the test process."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any
from uuid import uuid4

from celery.contrib.testing.worker import start_worker
from django.db import connections

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.telemetry import probe
from mamochi_site.celery import app as celery_app

# How long a loop may take to end.
SECONDS = 60.0

# A function that runs until the event is set.
Loop = Callable[[threading.Event], None]


def consumer(name: str, *, lane: str = "", own_group: bool = False) -> Loop:
    """Return the loop that `manage.py run_consumer NAME` runs, for one lane.

    With `own_group` the Kafka group is new, so no member of another test's group holds its
    partitions.
    """

    def run(stop: threading.Event) -> None:
        group = f"{name}-{uuid4()}" if own_group else ""
        Runner(consumers[name], stop=stop, lane=lane, group=group).run()

    return run


@contextmanager
def running(*loops: Loop) -> Iterator[threading.Event]:
    """Run the loops in threads until the block ends.

    When a loop fails, the others are stopped, and its error is raised at the end of the block.
    """
    stop, errors = threading.Event(), list[BaseException]()

    def run(loop: Loop) -> None:
        try:
            loop(stop)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
            errors.append(error)
            stop.set()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[loop]) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
    if errors:
        raise errors[0]


def readiness() -> tuple[int, str]:
    """Return the status of this process's /health/ready, and its reasons in one text."""
    status, _, body = probe.ready()
    return status, " ".join(chain.from_iterable(json.loads(body).get("why", {}).values()))


@contextmanager
def celery_worker(**options: Any) -> Iterator[None]:
    """Run a Celery worker until the block ends; `options` are those of the worker."""
    try:
        with start_worker(celery_app, perform_ping_check=False, shutdown_timeout=20.0, **options):
            yield
    finally:
        vars(celery_app.amqp).pop("queues", None)  # else the next worker reads the queues of this one
