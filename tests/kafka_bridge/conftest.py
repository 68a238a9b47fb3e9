"""Fixtures of the engine's tests."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client, topic_admin
from kafka_bridge.consuming.handlers import Consumer, Gathers
from kafka_bridge.events.event import registered
from kafka_bridge.events.topics import Topic
from kafka_bridge.telemetry import pulse
from tests.support.sandbox import SECONDS, Sandbox, happened_on, is_there


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Start three brokers of this test's own and point Django to them."""
    everything_else = {"DATABASE_URL": "-", "CELERY_BROKER_URL": "-", "EMAIL_URL": "-"}
    with Stack(tmp_path, brokers=3, durable=False, environ=everything_else) as stack:
        monkeypatch.setitem(settings.KAFKA_CLIENT_CONFIG, "bootstrap.servers", stack.kafka.url)
        client.forget_clients()
        yield stack
    client.forget_clients()


@pytest.fixture
def table(transactional_db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE sandbox_parent (id int PRIMARY KEY)")
        cursor.execute("INSERT INTO sandbox_parent VALUES (0)")
        cursor.execute(
            "CREATE TABLE sandbox_row (id bigserial PRIMARY KEY, event_id uuid NOT NULL, n int NOT NULL, "
            "parent int REFERENCES sandbox_parent DEFERRABLE INITIALLY DEFERRED)"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE sandbox_row, sandbox_parent")


@pytest.fixture
def make_sandbox(kafka: str) -> Iterator[Callable[..., Sandbox]]:
    made: list[str] = []

    def make(
        *,
        partitions: int = 2,
        lane: str = "",
        max_batch: int = 500,
        gathers: Gathers = Gathers.NEVER,
        on_brokers: int | None = None,
    ) -> Sandbox:
        name = f"sandbox.{uuid4()}"
        own_topic = Topic(name=name, partitions=partitions, priority_lane=lane)
        event = happened_on(own_topic, f"mamochi.sandbox.happened-{uuid4()}.v1")
        made.append(event.type)
        created = replace(own_topic, partitions=partitions if on_brokers is None else on_brokers)
        if created.partitions:
            topic_admin.create_topics([created])
            wait_until(lambda: is_there(created), SECONDS)
        consumer = Consumer(f"sandbox-{uuid4()}", max_batch, gathers=gathers)
        return Sandbox(own_topic, event, consumer)

    yield make
    for event_type in made:
        del registered[event_type]
    pulse.pulses.clear()  # of runners that a test stepped by hand


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox], table: None) -> Sandbox:
    return make_sandbox()
