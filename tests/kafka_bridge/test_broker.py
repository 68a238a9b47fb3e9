"""Questions to the brokers while some of them are gone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from django.conf import settings

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from kafka_bridge import broker
from kafka_bridge.topics import Topic

PARTITIONS = [("preguntas", number) for number in range(6)]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Three brokers of this test's own, and Django asks them."""
    everything_else = {"DATABASE_URL": "-", "CELERY_BROKER_URL": "-", "EMAIL_URL": "-"}
    with Stack(tmp_path, brokers=3, durable=False, environ=everything_else) as stack:
        monkeypatch.setitem(settings.KAFKA_CLIENT_CONFIG, "bootstrap.servers", stack.kafka.url)
        broker._admin_of.cache_clear()
        broker._asking_consumer.cache_clear()
        yield stack
    broker._admin_of.cache_clear()
    broker._asking_consumer.cache_clear()


@pytest.mark.chaos
def test_a_question_whose_leader_is_gone_waits_instead_of_spinning_and_is_answered_after_its_return(
    cluster: Stack,
) -> None:
    broker.create_topics([Topic(name="preguntas", partitions=6)])
    assert broker.end_offsets(PARTITIONS) == dict.fromkeys(PARTITIONS, 0)
    for gone in cluster.kafka.brokers[:2]:
        gone.kill()
    began, used = time.monotonic(), time.process_time()
    for ask in (broker.end_offsets, broker.low_watermarks):
        with pytest.raises(KafkaException):
            ask(PARTITIONS, 3.0)
    assert time.monotonic() - began < 8
    assert time.process_time() - used < 1, "an admin client takes a whole core"
    for gone in cluster.kafka.brokers[:2]:
        gone.restart(wait=False)
    wait_until(all_answer, 90)


def all_answer() -> bool:
    try:
        return broker.end_offsets(PARTITIONS, 5.0) == dict.fromkeys(PARTITIONS, 0)
    except KafkaException:
        return False
