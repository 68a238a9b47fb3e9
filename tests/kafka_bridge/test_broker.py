"""Questions to the brokers while some of them are gone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from django.conf import settings

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client, topic_admin, watermarks
from kafka_bridge.events.topics import Partition, Topic

PARTITIONS = [("preguntas", number) for number in range(6)]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Three brokers of this test's own, and Django asks them."""
    everything_else = {"DATABASE_URL": "-", "CELERY_BROKER_URL": "-", "EMAIL_URL": "-"}
    with Stack(tmp_path, brokers=3, durable=False, environ=everything_else) as stack:
        monkeypatch.setitem(settings.KAFKA_CLIENT_CONFIG, "bootstrap.servers", stack.kafka.url)
        client.forget_clients()
        yield stack
    client.forget_clients()


@pytest.mark.chaos
def test_questions_to_brokers_that_are_gone_wait_instead_of_spinning_and_are_answered_after_their_return(
    cluster: Stack,
) -> None:
    topic_admin.create_topics([Topic(name="preguntas", partitions=6)])
    assert watermarks.end_offsets(PARTITIONS) == dict.fromkeys(PARTITIONS, 0)
    ids = topic_admin.topic_uuids(["preguntas"])
    cluster.kafka.brokers[0].kill()
    wait_until(
        lambda: answers(lambda: topic_admin.topic_uuids(["preguntas"])) == ids, 30, what="another controller is found"
    )
    cluster.kafka.brokers[1].kill()
    for ask in (watermarks.end_offsets, watermarks.low_watermarks, offsets_now):
        with waiting_idly(), pytest.raises(KafkaException):
            ask(PARTITIONS, 3.0)
    with waiting_idly():
        for _ in range(10):
            answers(lambda: topic_admin.topic_uuids(["preguntas"]))  # of the one that is left, or an error
    for gone in cluster.kafka.brokers[:2]:
        gone.restart(wait=False)
    wait_until(lambda: answers(lambda: watermarks.end_offsets(PARTITIONS, 5.0)) == dict.fromkeys(PARTITIONS, 0), 90)


def offsets_now(partitions: list[Partition], timeout: float) -> dict[Partition, int]:
    return watermarks.offsets_at(dict.fromkeys(partitions, time.time()), timeout)


def answers(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except KafkaException:
        return None


@contextmanager
def waiting_idly() -> Iterator[None]:
    began, used = time.monotonic(), time.process_time()
    yield
    seconds, used = time.monotonic() - began, time.process_time() - used
    assert used < 0.1 + seconds / 4, f"{used:.1f} s of a core in {seconds:.1f} s: an admin client takes a whole one"
