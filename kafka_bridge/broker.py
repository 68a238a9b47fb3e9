"""Questions to the brokers: do they answer, which topics are there, where do partitions end."""

import logging
import os
import socket
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from django.conf import settings

from kafka_bridge.events import registered
from kafka_bridge.topics import Partition, Topic

client_logger = logging.getLogger("kafka_bridge.librdkafka")  # what the C library says of its connections

TIMEOUT_SECONDS: Final = 10.0
UUIDS_SECONDS: Final = 3.0
CONNECT_SECONDS: Final = 1.0

_questions: Final = ThreadPoolExecutor(8, "watermarks")
LEADERS_SECONDS: Final = 60.0  # how long a new topic may take on brokers that have just started


def admin() -> AdminClient:
    """One admin client a process: a forked one would never answer."""
    return _admin_of(os.getpid())


@cache
def _admin_of(_pid: int) -> AdminClient:
    return AdminClient(_config(), logger=client_logger)


@cache
def _asking_consumer(_pid: int) -> Consumer:
    """It never joins a group."""
    return Consumer({**_config(), "group.id": "mamochi-watermarks"}, logger=client_logger)


def _config() -> dict[str, str | int | float | bool]:
    return {
        **settings.KAFKA_CLIENT_CONFIG,
        "socket.connection.setup.timeout.ms": 2_000,
        "metadata.max.age.ms": 2_000,  # with the default a client asks a partition's former leader for many minutes
    }


def answers(timeout: float) -> bool:
    """Whether a broker answers within `timeout` seconds."""
    try:
        admin().list_topics(timeout=timeout)
    except KafkaException:
        return False
    return True


def declared_topics() -> list[Topic]:
    """The topics of all registered events, by name."""
    return sorted({event.topic for event in registered.values()}, key=lambda topic: topic.name)


def create_topics(topics: Iterable[Topic]) -> list[str]:
    """Makes the topics that are missing, and waits until they lead; returns their names.

    Replication: three replicas where there are three brokers, else as many as there are. Raises KafkaException.
    """
    replicas = min(3, len(admin().list_topics(timeout=TIMEOUT_SECONDS).brokers))
    wanted = list(topics)
    futures = admin().create_topics([_new_topic(topic, replicas) for topic in wanted])
    created = [name for name, future in futures.items() if _was_created(future)]
    _wait_for_leaders([(topic.name, at) for topic in wanted if topic.name in created for at in range(topic.partitions)])
    return created


def _wait_for_leaders(partitions: list[tuple[str, int]]) -> None:
    """The controller answers before the brokers have taken the partitions over. Raises KafkaException where none does."""
    deadline = time.monotonic() + LEADERS_SECONDS
    while True:
        try:
            end_offsets(partitions)
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _new_topic(topic: Topic, replicas: int) -> NewTopic:
    config = {**topic.config, "min.insync.replicas": str(max(1, replicas - 1))}
    return NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=replicas, config=config)


def _was_created(future: "Future[None]") -> bool:
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def topic_uuids(names: Iterable[str], timeout: float = UUIDS_SECONDS) -> dict[str, str]:
    """The broker's id of each topic: a topic deleted and made anew has another. Raises KafkaException."""
    _find_controller(timeout)
    futures = admin().describe_topics(TopicCollection(list(names)), request_timeout=timeout)
    return {name: str(future.result().topic_id) for name, future in futures.items()}


def _find_controller(timeout: float) -> None:
    """Raises KafkaException where nobody listens there.

    An admin client goes on asking the controller that it first heard of, and one that is gone without a pause, a whole core
    for as long as it may (librdkafka 2.16). All metadata tells it of another.
    """
    known = admin().list_topics(timeout=timeout)
    controller = known.brokers.get(known.controller_id)
    if controller is None:
        raise KafkaException(KafkaError(KafkaError.BROKER_NOT_AVAILABLE, "no controller is known"))
    try:
        socket.create_connection((controller.host, controller.port), CONNECT_SECONDS).close()
    except OSError as error:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, f"broker {controller.id}: {error}")) from error


def low_watermarks(partitions: Iterable[Partition], timeout: float = TIMEOUT_SECONDS) -> dict[Partition, int]:
    """The oldest offset that is still there, by (topic, partition). Raises KafkaException."""
    return {at: low for at, (low, _) in _watermarks(partitions, timeout).items()}


def end_offsets(partitions: Iterable[Partition], timeout: float = TIMEOUT_SECONDS) -> dict[Partition, int]:
    """The offset that the next message will have, by (topic, partition). Raises KafkaException."""
    return {at: end for at, (_, end) in _watermarks(partitions, timeout).items()}


def _watermarks(partitions: Iterable[Partition], timeout: float) -> dict[Partition, tuple[int, int]]:
    """The low and the high watermark of each, all asked at once.

    By a consumer: an admin client asks a leader that is gone again and again without a pause, and takes a whole core for it
    until the time is over (librdkafka 2.16); with no controller it then answers -1001 without an error.
    """
    asked = list(partitions)
    found = _questions.map(partial(_watermark, deadline=time.monotonic() + timeout), asked)
    return dict(zip(asked, found, strict=True))


def _watermark(at: Partition, deadline: float) -> tuple[int, int]:
    left = max(0.001, deadline - time.monotonic())
    found = _asking_consumer(os.getpid()).get_watermark_offsets(TopicPartition(*at), timeout=left)
    if found is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{at[0]}[{at[1]}] did not say where it ends"))
    return found


def offsets_at(moments: Mapping[Partition, float], timeout: float = TIMEOUT_SECONDS) -> dict[Partition, int]:
    """The first offset that was stored at or after a moment (Unix seconds), -1 where none was. Raises KafkaException."""
    asked = [TopicPartition(*at, int(1_000 * moment)) for at, moment in moments.items()]
    found = _asking_consumer(os.getpid()).offsets_for_times(asked, timeout=timeout) if asked else []
    for at in found:
        if at.error:
            raise KafkaException(at.error)
    return {(at.topic, at.partition): at.offset for at in found}


def partitions_of(topic: str, timeout: float = TIMEOUT_SECONDS) -> list[tuple[str, int]]:
    """The partitions that the topic really has. Raises KafkaException where it does not exist or no broker answers."""
    found = admin().list_topics(topic, timeout=timeout).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return [(topic, partition) for partition in sorted(found.partitions)]
