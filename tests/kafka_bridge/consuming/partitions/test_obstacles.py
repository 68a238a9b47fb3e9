"""A lane that cannot read one of its topics is not ready, and says why."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming.partitions.obstacles import Obstacles
from tests.support.consumers import readiness
from tests.support.sandbox import SECONDS, Sandbox


@pytest.mark.slow
@pytest.mark.usefixtures("table")
def test_a_missing_topic_is_not_ready(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox, other = make_sandbox(on_brokers=0), make_sandbox()
    sandbox.consumer.handlers[other.event] = sandbox.handle  # a consumer of two topics
    with sandbox.running():
        other.publish(1)
        wait_until(lambda: sandbox.rows() == [1], SECONDS)  # the missing topic does not hold up the other
        wait_until(lambda: readiness()[0] == 503 and sandbox.topic.name in readiness()[1], SECONDS)
        assert "does not exist" in readiness()[1]
        topic_admin.create_topics([sandbox.topic])
        sandbox.publish(2)
        wait_until(lambda: sorted(sandbox.rows()) == [1, 2], SECONDS)
        wait_until(lambda: readiness() == (200, ""), SECONDS)


@pytest.mark.slow
def test_a_topic_that_is_deleted_is_not_ready(sandbox: Sandbox) -> None:
    with sandbox.running():
        wait_until(lambda: readiness() == (200, ""), SECONDS)
        sandbox.delete_topic()
        wait_until(lambda: "does not exist" in readiness()[1], SECONDS)
        topic_admin.create_topics([sandbox.topic])
        wait_until(lambda: readiness() == (200, ""), SECONDS)


def test_rights_are_an_obstacle_until_a_read() -> None:
    obstacles = Obstacles("billing")
    obstacles.refused("orders", KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    obstacles.refused("", KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    obstacles.refused("parcels", KafkaError(KafkaError._TRANSPORT))
    assert [text.split(" may")[0] for text in obstacles.texts()] == ["orders", "the consumer group"]
    obstacles.is_read({"orders"})
    obstacles.joined()
    assert obstacles.texts() == []
