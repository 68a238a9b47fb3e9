"""`manage.py check_brokers`."""

from io import StringIO

import pytest
from confluent_kafka.admin import AdminClient
from django.core.management import CommandError, call_command

from kafka_bridge.brokers import client, topic_admin
from kafka_bridge.events import Topic


def test_created_topics_pass(kafka: str) -> None:
    call_command("create_topics", verbosity=0, stdout=StringIO())
    out, warnings = StringIO(), StringIO()
    call_command("check_brokers", stdout=out, stderr=warnings)
    assert "as declared" in out.getvalue()
    assert "kafka_bridge.W208" in warnings.getvalue()  # the tests' stack has one broker


def test_a_missing_topic_exits_1(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_admin, "declared_topics", lambda: [Topic(name="missing.topic")])
    with pytest.raises(CommandError, match=r"kafka_bridge\.E202") as failure:
        call_command("check_brokers", stderr=StringIO())
    assert failure.value.returncode == 1


def test_no_answer_is_an_error_without_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    lonely = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    monkeypatch.setattr(client, "admin", lambda: lonely)
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(CommandError, match=r"kafka_bridge\.E201"):
        call_command("check_brokers")
