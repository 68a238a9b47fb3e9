"""How many messages a consumer lacks until it has reached the ends of a topic."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming import progress
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.exceptions import KafkaUnavailable
from kafka_bridge.models import ConsumerOffset
from tests.support.sandbox import SECONDS, Sandbox


def remaining(sandbox: Sandbox, ends: TopicEnds) -> dict[int, int]:
    return progress.remaining(sandbox.consumer.name, sandbox.topic.name, ends)


def test_nothing_remains_once_all_is_applied(sandbox: Sandbox) -> None:
    sandbox.publish(1, 2, 3, key="one")
    partition = sandbox.topic.partition_for("one", priority=False)
    ends = progress.topic_ends(sandbox.topic.name)
    assert remaining(sandbox, ends) == {partition: 3}
    with sandbox.running():
        wait_until(lambda: remaining(sandbox, ends) == {}, SECONDS)
    assert sandbox.rows() == [1, 2, 3]


def test_offsets_of_an_earlier_topic_do_not_count(sandbox: Sandbox) -> None:
    ConsumerOffset.objects.create(
        consumer=sandbox.consumer.name, topic=sandbox.topic.name, partition=0, next_offset=9, topic_uuid="earlier"
    )
    assert remaining(sandbox, TopicEnds("earlier", {0: 10})) == {0: 1}
    assert remaining(sandbox, TopicEnds("recreated", {0: 10})) == {0: 10}


def test_apps_get_an_error_of_the_engine(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no broker answers"))

    monkeypatch.setattr(topic_admin, "topic_uuids", refuse)
    with pytest.raises(KafkaUnavailable, match="no broker answers"):
        progress.topic_ends(sandbox.topic.name)
