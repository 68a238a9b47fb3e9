"""TODO."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

from confluent_kafka import KafkaException
from confluent_kafka import Message as KafkaMessage
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from kafka_bridge.brokers import client, reader, topic_admin, watermarks
from kafka_bridge.brokers.messages import headers_of, partition_of
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import Headers
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import ConsumerOffset, DeadLetter
from kafka_bridge.monitoring.lookup.registry import Clue, Gap

ASK_SECONDS: Final = 0.7  # for each question before the look itself
KAFKA_SECONDS: Final = 1.5
MESSAGES: Final = 20_000  # the most that are looked at for one trace: in Kafka, in the outbox, among the dead letters
AROUND_SECONDS: Final = 30.0  # a row's moment and the broker's may differ by so much
ROUNDS: Final = 3

CUT_KAFKA: Final = Gap(
    "en Kafka hay más mensajes por aplicar de los que se alcanzan a mirar",
    "Espera a que los consumidores se pongan al día (mira el panorama) y pregunta de nuevo: lo aplicado se halla por su fila.",
)


def _in_payload(texts: list[str]) -> RawSQL:
    sql = "EXISTS (SELECT FROM unnest(%s::text[]) id WHERE position(id::bytea IN value) > 0)"
    return RawSQL(sql, [texts], output_field=BooleanField())  # noqa: S611 - nothing is put into the text  # nosec B611


def _positions() -> dict[tuple[str, str, int], ConsumerOffset]:
    return {(row.consumer, row.topic, row.partition): row for row in ConsumerOffset.objects.all()}


def _known_places(letters: list[DeadLetter]) -> list[reader.Place]:
    return [(letter.topic, letter.partition, letter.offset) for letter in letters]


@dataclass(frozen=True)
class Look:
    """The messages that carry one of the ids. `unread`: time or MESSAGES ran out before all that was to be read."""

    messages: list[KafkaMessage]
    uuids: dict[str, str]
    answers: bool = True
    unread: bool = False


def _look_into_kafka(ids: Iterable[UUID], clues: list[Clue], places: list[reader.Place]) -> Look:
    try:
        topics = client.admin().list_topics(timeout=ASK_SECONDS).topics
        names = {topic.name for topic in topic_admin.declared_topics()} & topics.keys()
        partitions = [(name, number) for name in names for number in topics[name].partitions]
        uuids = topic_admin.topic_uuids(names, ASK_SECONDS)
        messages, unread = _scan(_ranges(partitions, uuids, clues, places), [str(one).encode() for one in ids])
        return Look(messages, uuids, unread=unread)
    except KafkaException:
        return Look([], {}, answers=False)


def _ranges(
    partitions: list[Partition], uuids: dict[str, str], clues: list[Clue], places: list[reader.Place]
) -> dict[Partition, tuple[int, int]]:
    """From where to where each partition is read: around the clues, and what some consumer has not applied yet."""
    ends = watermarks.end_offsets(partitions, ASK_SECONDS)
    starts = _backlog(partitions, uuids)
    for topic, partition, offset in places:
        starts.setdefault((topic, partition), []).append(offset)
    for at, offset in _near(clues, set(partitions)).items():
        starts.setdefault(at, []).append(offset if offset >= 0 else ends[at])
    return {at: (min(offsets), ends[at]) for at, offsets in starts.items() if at in ends and min(offsets) < ends[at]}


def _backlog(partitions: Iterable[Partition], uuids: dict[str, str]) -> dict[Partition, list[int]]:
    """Where the slowest consumer of each partition is; 0 where one has never run, or the topic was made anew since."""
    starts: dict[Partition, list[int]] = {}
    applied = _positions()
    for name, consumer in consumers.items():
        topics = {topic.name for topic in consumer.topics}
        for topic, partition in partitions:
            if topic in topics:
                row = applied.get((name, topic, partition))
                offset = row.next_offset if row and row.topic_uuid == uuids[topic] else 0
                starts.setdefault((topic, partition), []).append(offset)
    return starts


def _near(clues: list[Clue], partitions: set[Partition]) -> dict[Partition, int]:
    """The first offset that Kafka stored shortly before each clue's moment, the earliest of a partition."""
    moments: dict[Partition, float] = {}
    for clue in clues:
        if clue.near is not None and clue.partition in partitions:
            before = clue.near.timestamp() - AROUND_SECONDS
            moments[clue.partition] = min(before, moments.get(clue.partition, before))
    return watermarks.offsets_at(moments, ASK_SECONDS)


def _scan(ranges: dict[Partition, tuple[int, int]], needles: list[bytes]) -> tuple[list[KafkaMessage], bool]:
    """Reads the ranges side by side until their ends, MESSAGES or KAFKA_SECONDS are reached; whether some is unread."""
    hits: list[KafkaMessage] = []
    if not ranges:
        return hits, False
    left, deadline = MESSAGES, time.monotonic() + KAFKA_SECONDS
    open_ones = dict(ranges)
    with reader.reading({at: start for at, (start, _) in ranges.items()}, fetch_bytes=262_144) as consumer:
        while open_ones and left > 0 and time.monotonic() < deadline:
            messages = consumer.consume(500, 0.1)
            left -= len(messages)
            for message in messages:
                _note(message, needles, hits, open_ones)
    return hits, bool(open_ones)


def _note(
    message: KafkaMessage, needles: list[bytes], hits: list[KafkaMessage], open_ones: dict[Partition, tuple[int, int]]
) -> None:
    at = partition_of(message)
    if message.error() is not None:  # the partition's end, or it is gone
        open_ones.pop(at, None)
        return
    value, event_id = message.value() or b"", _headers_of(message).get("ce_id")
    if any(needle == event_id or needle in value for needle in needles):
        hits.append(message)
    if at in open_ones and cast(int, message.offset()) + 1 >= open_ones[at][1]:
        del open_ones[at]


def _headers_of(message: KafkaMessage) -> Headers:
    """None where they cannot be read: a stranger's message is shown by its place."""
    try:
        return headers_of(message)
    except Undecodable:
        return {}
