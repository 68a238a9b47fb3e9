"""TODO."""

import socket
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import NewTopic

from kafka_bridge.brokers.client import TIMEOUT_SECONDS, admin
from kafka_bridge.brokers.watermarks import end_offsets
from kafka_bridge.events.event import registered
from kafka_bridge.events.topics import Topic

UUIDS_SECONDS: Final = 3.0
CONNECT_SECONDS: Final = 1.0

LEADERS_SECONDS: Final = 60.0  # how long a new topic may take on brokers that have just started


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


def partitions_of(topic: str, timeout: float = TIMEOUT_SECONDS) -> list[tuple[str, int]]:
    """The partitions that the topic really has. Raises KafkaException where it does not exist or no broker answers."""
    found = admin().list_topics(topic, timeout=timeout).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return [(topic, partition) for partition in sorted(found.partitions)]
