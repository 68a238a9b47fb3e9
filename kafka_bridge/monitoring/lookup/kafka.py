"""The part of a lookup that reads Kafka, bounded in time and in messages."""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, cast
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from django.utils.translation import gettext

from kafka_bridge.brokers import client, reader, topic_admin, watermarks
from kafka_bridge.brokers.messages import headers_of, partition_of
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.record import LARGEST_VALUE
from kafka_bridge.events.codec import Headers
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.monitoring.lookup.database import Positions
from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Limitation

QUESTION_SECONDS: Final = 0.7  # for each question about topics and offsets
SCAN_SECONDS: Final = 1.5
MAX_MESSAGES: Final = 20_000
FETCH_BYTES: Final = 131_072  # with CHUNK, bounds what hostile messages unpack to
CHUNK: Final = 100
NEAR_SECONDS: Final = 30.0  # the clocks of a row and of the broker may differ by so much


@dataclass(frozen=True)
class KafkaScan:
    """The messages with one of the ids, and the ids of the topics.

    `unread`: SCAN_SECONDS or MAX_MESSAGES were reached before the end, or the client
    cannot read on.
    """

    messages: list[KafkaMessage] = field(default_factory=list)
    topic_uuids: dict[str, str] = field(default_factory=dict)
    kafka_answers: bool = True
    unread: bool = False

    def limitations(self) -> list[Limitation]:
        """Report if a part of Kafka was left unread."""
        if not self.unread:
            return []
        where = gettext("Kafka has more messages to apply than can be read")
        advice = gettext(
            "Wait until the consumers are up to date (see the overview) and search again: applied events are found by "
            "their row."
        )
        return [Limitation(where, advice)]


def scan(
    ids: Iterable[UUID], expected: Collection[ExpectedEvent], places: Iterable[reader.Place], positions: Positions
) -> KafkaScan:
    """Search Kafka where the events are expected, at `places`, and in what is not yet applied."""
    try:
        topics = client.admin().list_topics(timeout=QUESTION_SECONDS).topics
        names = {topic.name for topic in topic_admin.declared_topics()} & topics.keys()
        partitions = [(name, number) for name in names for number in topics[name].partitions]
        uuids = topic_admin.topic_uuids(names, QUESTION_SECONDS)
        backlog = _backlog(partitions, uuids, positions)
        ranges = _ranges(partitions, expected, places, backlog)
        messages, unread = _read(ranges, [str(one).encode() for one in ids])
        return KafkaScan(messages, uuids, unread=unread)
    except KafkaException:
        return KafkaScan(kafka_answers=False)


def readable_headers(message: KafkaMessage) -> Headers:
    """Return the message's headers; none if they cannot be decoded."""
    try:
        return headers_of(message)
    except Undecodable:
        return {}


def _ranges(
    partitions: list[Partition],
    expected: Collection[ExpectedEvent],
    places: Iterable[reader.Place],
    backlog: dict[Partition, list[int]],
) -> dict[Partition, tuple[int, int]]:
    """Return the first and the last offset to read, by partition."""
    ends = watermarks.end_offsets(partitions, QUESTION_SECONDS)
    starts = dict(backlog)
    for topic, partition, offset in places:
        starts.setdefault((topic, partition), []).append(offset)
    for at, offset in _near(expected, set(partitions)).items():
        starts.setdefault(at, []).append(offset if offset >= 0 else ends[at])
    return {at: (min(offsets), ends[at]) for at, offsets in starts.items() if at in ends and min(offsets) < ends[at]}


def _backlog(partitions: list[Partition], uuids: dict[str, str], positions: Positions) -> dict[Partition, list[int]]:
    """Return each consumer's next offset, by partition.

    The offset is 0 if the consumer has never run, or if the topic was recreated since.
    """
    starts: dict[Partition, list[int]] = {}
    for name, consumer in consumers.items():
        topics = {topic.name for topic in consumer.topics}
        for topic, partition in partitions:
            if topic in topics:
                row = positions.get((name, topic, partition))
                offset = row.next_offset if row and row.topic_uuid == uuids[topic] else 0
                starts.setdefault((topic, partition), []).append(offset)
    return starts


def _near(expected: Collection[ExpectedEvent], partitions: set[Partition]) -> dict[Partition, int]:
    """Return the first offset stored shortly before the expected events of a partition."""
    moments: dict[Partition, float] = {}
    for event in expected:
        if event.near is not None and event.partition in partitions:
            before = event.near.timestamp() - NEAR_SECONDS
            moments[event.partition] = min(before, moments.get(event.partition, before))
    return watermarks.offsets_at(moments, QUESTION_SECONDS)


def _read(ranges: dict[Partition, tuple[int, int]], needles: list[bytes]) -> tuple[list[KafkaMessage], bool]:
    """Return the messages with one of the needles, and whether a part is unread."""
    found: list[KafkaMessage] = []
    if not ranges:
        return found, False
    left, deadline, unreadable = MAX_MESSAGES, time.monotonic() + SCAN_SECONDS, False
    ends = {at: end for at, (_, end) in ranges.items()}
    with reader.reading({at: start for at, (start, _) in ranges.items()}, fetch_bytes=FETCH_BYTES) as consumer:
        while ends and left > 0 and time.monotonic() < deadline:
            messages = consumer.consume(CHUNK, 0.1)
            left -= len(messages)
            for message in messages:
                if message.error() is None and _contains(message, needles):
                    message.set_value(None)  # only its headers are shown, and it may be large
                    found.append(message)
                unreadable |= _is_unreadable(message)
                if _is_last(message, ends):
                    del ends[partition_of(message)]
    return found, unreadable or bool(ends)


def _contains(message: KafkaMessage, needles: list[bytes]) -> bool:
    event_id = readable_headers(message).get("ce_id")
    value = (message.value() or b"") if len(message) <= LARGEST_VALUE else b""  # no consumer reads a larger one
    return any(needle == event_id or needle in value for needle in needles)


def _is_unreadable(message: KafkaMessage) -> bool:
    """Return True for an error that hides the rest of the partition from this search."""
    error = message.error()
    return error is not None and error.code() != KafkaError._PARTITION_EOF


def _is_last(message: KafkaMessage, ends: dict[Partition, int]) -> bool:
    """Return True if nothing is left to read in the message's partition."""
    end = ends.get(partition_of(message))
    if end is None:
        return False
    if message.error() is not None:  # the partition has ended, or it is gone
        return True
    return cast(int, message.offset()) + 1 >= end
