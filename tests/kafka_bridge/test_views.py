import time
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from django.db import InterfaceError, OperationalError, connection
from django.test import Client

from deploy.embedded.ports import free_port
from kafka_bridge import conf
from kafka_bridge.brokers import client as broker_client
from kafka_bridge.monitoring import overview
from tests.support.prometheus import samples


def test_health_answers_in_english(client: Client, db: None, kafka: str) -> None:
    assert client.get("/health/live").json() == {"status": "alive"}
    assert client.get("/health/ready").json() == {"ready": True, "database": True, "kafka": True}


def test_web_is_ready_at_once_without_kafka(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox accepts, and Kubernetes gives a probe one second."""
    lonely = AdminClient({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, logger=broker_client.client_logger)
    monkeypatch.setattr(broker_client, "admin", lambda: lonely)
    began = time.monotonic()
    answer = client.get("/health/ready")
    assert time.monotonic() - began < 1
    assert (answer.status_code, answer.json()["kafka"]) == (200, False)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_web_is_not_ready_without_the_database(
    client: Client, monkeypatch: pytest.MonkeyPatch, kafka: str, error: type[Exception]
) -> None:
    def refuse(*_: Any) -> None:
        raise error("gone")

    monkeypatch.setattr(connection, "cursor", refuse)
    monkeypatch.setattr(overview, "recent", refuse)
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200
    assert samples(client.get("/metrics").text)[f"{conf.PREFIX}_database_up", ()] == 0
