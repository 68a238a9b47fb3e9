"""Topics on the brokers: which are declared, creating them, their ids and partitions."""

import socket
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import NewPartitions, NewTopic

from kafka_bridge.brokers import client
from kafka_bridge.brokers.watermarks import end_offsets
from kafka_bridge.diagnosis import concerns_topic
from kafka_bridge.events.event import registered
from kafka_bridge.events.topics import Partition, Topic

UUIDS_SECONDS: Final = 3.0
CONNECT_SECONDS: Final = 1.0
LEADERS_SECONDS: Final = 60.0  # the longest wait for a new topic's leaders on brokers that have just started


def declared_topics() -> list[Topic]:
    """Return the topics of all registered events, by name."""
    return sorted({event.topic for event in registered.values()}, key=lambda topic: topic.name)


def create_topics(topics: Iterable[Topic]) -> list[str]:
    """Create the missing topics, wait until their partitions have leaders, and return their names.

    A topic gets three replicas, or as many as there are brokers. Raises KafkaException.
    """
    replicas = min(3, len(client.admin().list_topics(timeout=client.TIMEOUT_SECONDS).brokers))
    wanted = list(topics)
    futures = client.admin().create_topics([_new_topic(topic, replicas) for topic in wanted])
    created = [name for name, future in futures.items() if _was_created(future)]
    _wait_for_leaders([(topic.name, at) for topic in wanted if topic.name in created for at in range(topic.partitions)])
    return created


class TooManyPartitions(ValueError):
    """A topic has more partitions than it would get; Kafka cannot take partitions away."""


def partition_counts(topics: Iterable[Topic]) -> dict[str, int]:
    """Return how many partitions each topic has on the brokers; a missing topic is left out.

    Raises KafkaException.
    """
    found = client.admin().list_topics(timeout=client.TIMEOUT_SECONDS).topics
    return {topic.name: len(found[topic.name].partitions) for topic in topics if topic.name in found}


def add_partitions(topics: Iterable[Topic], *, dry_run: bool = False) -> dict[str, int]:
    """Raise each existing topic to its declared number of partitions, while everything runs.

    Returns how many partitions each raised topic had before. Raises TooManyPartitions, before
    anything is changed, and KafkaException.
    """
    by_name = {topic.name: topic for topic in topics}
    before = partition_counts(by_name.values())
    larger = [
        f"{name} has {count} and gets {by_name[name].partitions}"
        for name, count in before.items()
        if count > by_name[name].partitions
    ]
    if larger:
        raise TooManyPartitions("; ".join(larger))
    raised = {name: count for name, count in before.items() if count < by_name[name].partitions}
    if raised and not dry_run:
        wanted = [NewPartitions(name, by_name[name].partitions) for name in raised]
        for future in client.admin().create_partitions(wanted).values():
            future.result()
        _wait_for_leaders([(name, at) for name in raised for at in range(by_name[name].partitions)])
    return raised


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


def _wait_for_leaders(partitions: list[Partition]) -> None:
    """Wait until each partition has a leader, which comes after the controller's answer.

    Raises KafkaException if that takes longer than LEADERS_SECONDS.
    """
    deadline = time.monotonic() + LEADERS_SECONDS
    while True:
        try:
            end_offsets(partitions)
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


class Described(NamedTuple):
    """What Kafka said about topics: the id of each one, or the reason why it did not tell."""

    uuids: dict[str, str]
    refused: dict[str, KafkaError]


def topic_uuids(names: Iterable[str], timeout: float = UUIDS_SECONDS) -> dict[str, str]:
    """Return the broker's id of each topic; a deleted and recreated topic has another.

    Raises KafkaException.
    """
    seen = describe(names, timeout)
    for error in seen.refused.values():
        raise KafkaException(error)
    return seen.uuids


def describe(names: Iterable[str], timeout: float = UUIDS_SECONDS) -> Described:
    """Return the broker's id of each topic; a topic that Kafka refuses holds up no other.

    A topic is refused if it is missing, or if this client has no rights to it. Raises
    KafkaException if Kafka does not answer.
    """
    _find_controller(timeout)
    futures = client.admin().describe_topics(TopicCollection(list(names)), request_timeout=timeout)
    seen = Described({}, {})
    for name, future in futures.items():
        try:
            seen.uuids[name] = str(future.result().topic_id)
        except KafkaException as error:
            if not concerns_topic(error.args[0]):
                raise
            seen.refused[name] = error.args[0]
    return seen


def _find_controller(timeout: float) -> None:
    """Raise KafkaException if the controller does not accept a connection.

    An admin client keeps asking the controller that it knew first. If that one is gone, it does so
    without a pause and takes a whole core until the timeout (librdkafka 2.16). Asking for all
    metadata makes it learn of another controller.
    """
    known = client.admin().list_topics(timeout=timeout)
    controller = known.brokers.get(known.controller_id)
    if controller is None:
        raise KafkaException(KafkaError(KafkaError.BROKER_NOT_AVAILABLE, "no controller is known"))
    try:
        socket.create_connection((controller.host, controller.port), CONNECT_SECONDS).close()
    except OSError as error:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, f"broker {controller.id}: {error}")) from error


def partitions_of(topic: str, timeout: float = client.TIMEOUT_SECONDS) -> list[Partition]:
    """Return the partitions that the topic has on the brokers.

    Raises KafkaException if the topic does not exist or no broker answers.
    """
    found = client.admin().list_topics(topic, timeout=timeout).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return [(topic, partition) for partition in sorted(found.partitions)]
