"""Topics on the brokers that differ from their declarations."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import uuid4

import pytest
from confluent_kafka.admin import NewTopic
from django.core.checks import CheckMessage

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.checks import brokers as checks
from kafka_bridge.events import DAY_MS, Topic
from tests.support.declare import TOPIC
from tests.support.sandbox import SECONDS, Sandbox


def ids(messages: Iterable[CheckMessage]) -> list[str | None]:
    """Return the ids without the warning for a single broker, which the tests' stack has."""
    found = [message.id for message in messages]
    assert found.count("kafka_bridge.W208") <= 1
    return [name for name in found if name != "kafka_bridge.W208"]


def test_a_created_topic_passes(sandbox: Sandbox) -> None:
    assert ids(checks.topics_are_as_declared([sandbox.topic])) == []


def test_another_declaration_is_an_error(sandbox: Sandbox) -> None:
    more = replace(sandbox.topic, partitions=sandbox.topic.partitions + 1)
    assert ids(checks.topics_are_as_declared([more])) == ["kafka_bridge.E203"]
    fewer = replace(sandbox.topic, partitions=sandbox.topic.partitions - 1)
    assert ids(checks.topics_are_as_declared([fewer])) == ["kafka_bridge.E209"]
    shorter = replace(sandbox.topic, retention_ms=DAY_MS)
    found = list(checks.topics_are_as_declared([shorter]))
    assert ids(found) == ["kafka_bridge.E204"]
    assert "retention.ms is 7776000000 on the brokers, 86400000 is declared" in found[0].msg
    assert f"--add-config retention.ms={DAY_MS}" in str(found[0].hint)


def test_a_missing_topic_is_an_error(kafka: str) -> None:
    missing = Topic(name=f"missing.{uuid4()}")
    assert ids(checks.topics_are_as_declared([missing])) == ["kafka_bridge.E202"]
    assert missing.name not in client.admin().list_topics(timeout=SECONDS).topics  # the check does not create it


def test_an_auto_created_topic_is_found_out(kafka: str) -> None:
    topic = Topic(name=f"strange.{uuid4()}", partitions=2)
    config = {"unclean.leader.election.enable": "true", "cleanup.policy": "compact"}
    client.admin().create_topics([NewTopic(topic.name, 2, 1, config=config)])[topic.name].result(SECONDS)
    wait_until(lambda: topic.name in client.admin().list_topics(timeout=SECONDS).topics, SECONDS)
    found = ids(checks.topics_are_as_declared([topic]))
    assert found == ["kafka_bridge.E204"] * 4 + ["kafka_bridge.E207"]  # timestamps, compression, retention, cleanup


@pytest.mark.parametrize(
    ("config", "replicas", "brokers", "expected"),
    [
        ({"min.insync.replicas": "2"}, 3, 3, []),
        ({"min.insync.replicas": "1"}, 3, 3, ["kafka_bridge.E206"]),
        ({"min.insync.replicas": "1"}, 1, 3, ["kafka_bridge.E205"]),
        ({"min.insync.replicas": "1"}, 2, 2, []),
    ],
)
def test_few_replicas_are_an_error(config: dict[str, str], replicas: int, brokers: int, expected: list[str]) -> None:
    assert ids(checks.durability(TOPIC, config, replicas, brokers)) == expected
