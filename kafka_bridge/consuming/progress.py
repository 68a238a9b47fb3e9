"""How far a consumer has come, compared with where its topics end.

Apps ask here and need no Kafka client. A question that Kafka does not answer raises
KafkaUnavailable.

    ends = progress.topic_ends("bookshop.orders")     # everything accepted so far lies below
    ...
    if not progress.remaining("billing", "bookshop.orders", ends):
        ...                                           # `billing` has applied all of it
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException

from kafka_bridge.brokers import client, topic_admin, watermarks
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import KafkaUnavailable
from kafka_bridge.models import ConsumerOffset

SHORTEST_SECONDS: Final = 0.1  # what a question gets at least
TRANSACTIONS_SECONDS: Final = 3.0  # for each of two questions about open transactions


@dataclass(frozen=True)
class TopicEnds:
    """Where the partitions of a topic ended at one moment.

    The uuid says which topic it was: one that is deleted and recreated has another.
    """

    topic_uuid: str
    offsets: dict[int, int]  # the offset that the next message will have, by partition


def topic_names(consumer: str) -> list[str]:
    """Return the names of the topics that the consumer reads, in alphabetical order."""
    return [topic.name for topic in consumers[consumer].topics]


def topic_ends(topic: str, timeout: float = client.TIMEOUT_SECONDS) -> TopicEnds:
    """Return where the topic ends now; every message accepted before lies below.

    Raises KafkaUnavailable. The questions about the ends get what those about the topic's id have
    left of `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    uuid = topic_uuid(topic, min(timeout, topic_admin.UUIDS_SECONDS))
    return TopicEnds(uuid, end_offsets(topic, max(SHORTEST_SECONDS, deadline - time.monotonic())))


def end_offsets(topic: str, timeout: float = client.TIMEOUT_SECONDS) -> dict[int, int]:
    """Return the offset that the next message will have, by partition.

    Raises KafkaUnavailable, after `timeout` seconds at the latest.
    """
    with _kafka_asked():
        ends = watermarks.end_offsets(topic_admin.partitions_of(topic, timeout), timeout)
    return {partition: offset for (_, partition), offset in ends.items()}


def topic_uuid(topic: str, timeout: float = topic_admin.UUIDS_SECONDS) -> str:
    """Return the broker's id of the topic that has this name now. Raises KafkaUnavailable."""
    with _kafka_asked():
        return topic_admin.topic_uuids([topic], timeout)[topic]


def consumer_offsets(consumer: str, topic: str) -> dict[tuple[str, int], int]:
    """Return the next offset that the consumer will apply, as the database has it.

    The keys are the broker's id of the topic and the partition: an offset of an earlier topic of
    that name means nothing in the present one.
    """
    rows = ConsumerOffset.objects.filter(consumer=consumer, topic=topic)
    return {(row.topic_uuid, row.partition): row.next_offset for row in rows}


def remaining(consumer: str, topic: str, ends: TopicEnds) -> dict[int, int]:
    """Return how many messages each partition lacks until the consumer has reached `ends`.

    A partition that has reached its end is left out: the result is empty when nothing remains. A
    partition that the consumer never held counts from 0, as does one of an earlier topic of that
    name.
    """
    rows = ConsumerOffset.objects.filter(consumer=consumer, topic=topic, topic_uuid=ends.topic_uuid)
    applied = dict(rows.values_list("partition", "next_offset"))
    lacking = {partition: end - applied.get(partition, 0) for partition, end in ends.offsets.items()}
    return {partition: messages for partition, messages in lacking.items() if messages > 0}


def open_transactions(partitions: Iterable[Partition], timeout: float = TRANSACTIONS_SECONDS) -> dict[Partition, int]:
    """Return where the first open transaction of each of these partitions begins.

    Consumers are handed nothing from that offset on until the transaction's producer ends it. A
    partition without an open transaction is left out. Raises KafkaUnavailable.
    """
    wanted = list(partitions)
    with _kafka_asked():
        ends = watermarks.end_offsets(wanted, timeout)
        stable = watermarks.stable_offsets(wanted, timeout)  # after the ends, which only grow
    return {at: stable[at] for at, end in ends.items() if stable[at] < end}


@contextmanager
def _kafka_asked() -> Iterator[None]:
    """Raise KafkaUnavailable in place of the client's KafkaException."""
    try:
        yield
    except KafkaException as error:
        raise KafkaUnavailable(error.args[0].str()) from error
