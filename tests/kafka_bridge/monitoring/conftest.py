"""Fixtures of the monitoring's tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.core.management import call_command

from deploy.embedded.ports import free_port
from kafka_bridge.brokers import client as broker_client
from kafka_bridge.brokers import cluster_state
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.monitoring import overview
from tests.support.sandbox import Sandbox


@pytest.fixture
def known(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Make the sandbox's consumer one of the system's."""
    monkeypatch.setitem(consumers, sandbox.consumer.name, sandbox.consumer)
    call_command("create_topics", verbosity=0)
    return sandbox


@pytest.fixture
def without_kafka(known: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the brokers by an address where nothing listens."""
    nowhere = f"127.0.0.1:{free_port()}"
    lonely = AdminClient({"bootstrap.servers": nowhere}, logger=broker_client.client_logger)
    monkeypatch.setattr(broker_client, "admin", lambda: lonely)
    monkeypatch.setitem(settings.KAFKA_CLIENT_CONFIG, "bootstrap.servers", nowhere)


@pytest.fixture(autouse=True)
def empty_caches() -> Iterator[Any]:
    """Empty the caches before and after each test."""
    overview.forget()
    cluster_state.forget()
    yield
    overview.forget()
    cluster_state.forget()
