"""Following one thing through the house: from the request to the rows and mails, or to where it is stuck.

Each app registers in its `tracers.py` a function that knows what its rows say of an id:

    @tracer
    def seguir(ids: Ids) -> Iterator[Clue | Row]:
        ...

It is asked again with the ids that came to light, of events, until there are no new ones. Nothing is stored for this: the
rest is found in the outbox, among the dead letters, by the consumers' offsets and with a bounded look into Kafka.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import OffsetSpec
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

from kafka_bridge import broker, reader, traceparent
from kafka_bridge.batch import REPLAY_HEADER, Partition, headers_of, partition_of
from kafka_bridge.events import Event, Headers, Undecodable
from kafka_bridge.events import registered as event_types
from kafka_bridge.handlers import consumers
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage

KAFKA_SECONDS: Final = 1.5
MESSAGES: Final = 20_000  # the most that are looked at in Kafka for one trace
AROUND_SECONDS: Final = 30.0  # a row's moment and the broker's may differ by so much
ROUNDS: Final = 3
SHOWN: Final = 50

Ids = frozenset[UUID]


@dataclass(frozen=True, kw_only=True)
class Clue:
    """An event that must exist if the id does: where it would lie in Kafka. `near`: about when, if that is known."""

    id: UUID
    event: type[Event]
    key: str
    priority: bool = False
    near: datetime | None = None

    @property
    def partition(self) -> Partition:
        return self.event.topic.name, self.event.topic.partition_for(self.key, priority=self.priority)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What stands in an app's tables because of it: `what` and `state` in Spanish, without personal data."""

    what: str
    state: str
    at: datetime | None
    url: str = ""
    is_mail: bool = False


Tracer = Callable[[Ids], Iterable[Clue | Row]]
tracers: Final[list[Tracer]] = []


def tracer(function: Tracer) -> Tracer:
    """Registers the function below it. It must use indexes only: it is asked about ids that may not exist."""
    tracers.append(function)
    return function


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How far one consumer is with an event: applied, waiting behind `ahead` messages, or a dead letter."""

    consumer: str
    state: str
    ahead: int = 0
    dead_letter: int | None = None  # its row


@dataclass(kw_only=True)
class Found:
    """An event as it was found. `place` is empty while it waits in the outbox."""

    id: str
    type: str
    time: str
    trace_id: str
    topic: str
    partition: int
    offset: int | None
    stored_at: datetime | None
    replay_for: str = ""
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"{self.topic}[{self.partition}] @ {self.offset}" if self.offset is not None else ""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """All that is known of an id. `unfound`: events that must exist, and were not met in what was looked at of Kafka."""

    id: UUID
    events: list[Found]
    rows: list[Row]
    unfound: list[Clue]
    kafka_answers: bool

    @property
    def unknown(self) -> bool:
        return not (self.events or self.rows)


def parse(text: str) -> UUID | None:
    """The id that a person pasted, None where it is none."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def follow(wanted: UUID) -> Trace:
    """Everything about an id, in a bounded number of queries and within KAFKA_SECONDS of Kafka. Raises django.db errors."""
    clues, rows = _ask_apps(wanted)
    ids = {wanted, *clues}
    letters = _dead_letters(ids)
    waiting = _waiting(ids)
    places = _known_places(letters)
    messages, answers = _look_into_kafka(ids, list(clues.values()), places)
    applied = _positions()
    events = [*map(_of_outbox, waiting), *_of_kafka(messages), *_of_letters(letters, messages)]
    for event in events:
        event.deliveries = _deliveries(event, letters, applied)
    seen = {event.id for event in events}
    unfound = [clue for clue in clues.values() if str(clue.id) not in seen]
    events.sort(key=lambda event: (event.time, event.offset or 0))
    return Trace(id=wanted, events=events[:SHOWN], rows=rows, unfound=unfound, kafka_answers=answers)


def _ask_apps(wanted: UUID) -> tuple[dict[UUID, Clue], list[Row]]:
    clues: dict[UUID, Clue] = {}
    rows: dict[Row, None] = {}
    asked: set[UUID] = set()
    for _ in range(ROUNDS):
        ids = frozenset({wanted, *clues} - asked)
        if not ids:
            break
        asked |= ids
        for found in (found for function in tracers for found in function(ids)):
            if isinstance(found, Clue):
                clues.setdefault(found.id, found)
            else:
                rows[found] = None
    beginning = datetime.min.replace(tzinfo=UTC)
    return clues, sorted(rows, key=lambda row: row.at or beginning)


# What the engine stores


def _dead_letters(ids: Iterable[UUID]) -> list[DeadLetter]:
    """By the event's id in the headers, or by an id in the payload."""
    texts = list(map(str, ids))
    named = Q()
    for text in texts:
        named |= Q(headers__contains=[["ce_id", text]])
    return list(DeadLetter.objects.filter(named | Q(_in_payload(texts))).order_by("pk")[:SHOWN])


def _waiting(ids: Iterable[UUID]) -> list[OutboxMessage]:
    return list(OutboxMessage.objects.filter(_in_payload(list(map(str, ids)))).order_by("pk")[:SHOWN])


def _in_payload(texts: list[str]) -> RawSQL:
    sql = "EXISTS (SELECT FROM unnest(%s::text[]) id WHERE position(id::bytea IN value) > 0)"
    return RawSQL(sql, [texts], output_field=BooleanField())  # noqa: S611 - nothing is put into the text


def _positions() -> dict[tuple[str, str, int], int]:
    rows = ConsumerOffset.objects.values_list("consumer", "topic", "partition", "next_offset")
    return {(consumer, topic, partition): offset for consumer, topic, partition, offset in rows}


def _known_places(letters: list[DeadLetter]) -> list[reader.Place]:
    return [(letter.topic, letter.partition, letter.offset) for letter in letters]


# What Kafka has


def _look_into_kafka(
    ids: Iterable[UUID], clues: list[Clue], places: list[reader.Place]
) -> tuple[list[KafkaMessage], bool]:
    """The messages that carry one of the ids, and whether Kafka answered."""
    try:
        ranges = _ranges(clues, places)
        return _scan(ranges, [str(one).encode() for one in ids]), True
    except KafkaException:
        return [], False


def _ranges(clues: list[Clue], places: list[reader.Place]) -> dict[Partition, tuple[int, int]]:
    """From where to where each partition is read: around the clues, and what some consumer has not applied yet."""
    found = broker.admin().list_topics(timeout=KAFKA_SECONDS / 2)
    declared = {topic.name for topic in broker.declared_topics()} & found.topics.keys()
    partitions = [(name, number) for name in declared for number in found.topics[name].partitions]
    ends = broker.end_offsets(partitions, KAFKA_SECONDS / 2)
    starts = _backlog(partitions)
    for topic, partition, offset in places:
        starts.setdefault((topic, partition), []).append(offset)
    for at, offset in _near(clues, set(partitions)).items():
        starts.setdefault(at, []).append(offset if offset >= 0 else ends[at])
    return {at: (min(offsets), ends[at]) for at, offsets in starts.items() if at in ends and min(offsets) < ends[at]}


def _backlog(partitions: Iterable[Partition]) -> dict[Partition, list[int]]:
    """Where the slowest consumer of each partition is; 0 where one has never run."""
    starts: dict[Partition, list[int]] = {}
    applied = _positions()
    for name, consumer in consumers.items():
        topics = {topic.name for topic in consumer.topics}
        for topic, partition in partitions:
            if topic in topics:
                starts.setdefault((topic, partition), []).append(applied.get((name, topic, partition), 0))
    return starts


def _near(clues: list[Clue], partitions: set[Partition]) -> dict[Partition, int]:
    """The first offset that Kafka stored shortly before each clue's moment, the earliest of a partition."""
    moments: dict[Partition, float] = {}
    for clue in clues:
        if clue.near is not None and clue.partition in partitions:
            before = clue.near.timestamp() - AROUND_SECONDS
            moments[clue.partition] = min(before, moments.get(clue.partition, before))
    wanted = {TopicPartition(*at): OffsetSpec.for_timestamp(int(1_000 * moment)) for at, moment in moments.items()}
    futures = broker.admin().list_offsets(wanted, request_timeout=KAFKA_SECONDS / 2) if wanted else {}
    return {(at.topic, at.partition): future.result().offset for at, future in futures.items()}


def _scan(ranges: dict[Partition, tuple[int, int]], needles: list[bytes]) -> list[KafkaMessage]:
    """Reads the ranges side by side until their ends, MESSAGES or KAFKA_SECONDS are reached."""
    hits: list[KafkaMessage] = []
    if not ranges:
        return hits
    left, deadline = MESSAGES, time.monotonic() + KAFKA_SECONDS
    open_ones = dict(ranges)
    with reader.reading({at: start for at, (start, _) in ranges.items()}, fetch_bytes=262_144) as consumer:
        while open_ones and left > 0 and time.monotonic() < deadline:
            messages = consumer.consume(500, 0.1)
            left -= len(messages)
            for message in messages:
                _note(message, needles, hits, open_ones)
    return hits


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


# Put together


def _of_kafka(messages: list[KafkaMessage]) -> Iterator[Found]:
    for message in messages:
        headers = {name: _text(value) for name, value in _headers_of(message).items()}
        topic, partition = partition_of(message)
        stored_at = datetime.fromtimestamp(message.timestamp()[1] / 1_000, UTC)
        yield _found(headers, topic, partition, message.offset(), stored_at)


def _headers_of(message: KafkaMessage) -> Headers:
    """None where they cannot be read: a stranger's message is shown by its place."""
    try:
        return headers_of(message)
    except Undecodable:
        return {}


def _of_outbox(row: OutboxMessage) -> Found:
    return _found(dict(row.headers), row.topic, row.partition, None, row.created_at)


def _of_letters(letters: list[DeadLetter], messages: list[KafkaMessage]) -> Iterator[Found]:
    """Those whose message Kafka was not asked for, or no longer has."""
    met = {(*partition_of(message), message.offset()) for message in messages}
    for letter in letters:
        place = (letter.topic, letter.partition, letter.offset)
        if place not in met:
            met.add(place)
            yield _found(dict(letter.headers), letter.topic, letter.partition, letter.offset, letter.message_at)


def _found(
    headers: dict[str, Any], topic: str, partition: int, offset: int | None, stored_at: datetime | None
) -> Found:
    return Found(
        id=headers.get("ce_id", ""),
        type=headers.get("ce_type", ""),
        time=headers.get("ce_time", ""),
        trace_id=traceparent.trace_id_of(headers.get(traceparent.HEADER)),
        topic=topic,
        partition=partition,
        offset=offset,
        stored_at=stored_at,
        replay_for=headers.get(REPLAY_HEADER, ""),
    )


def _deliveries(event: Found, letters: list[DeadLetter], applied: dict[tuple[str, str, int], int]) -> list[Delivery]:
    kind = event_types.get(event.type)
    names = [name for name, consumer in sorted(consumers.items()) if kind in consumer.handlers]
    dead = {letter.consumer: letter for letter in letters if _is_letter_of(letter, event)}
    names = [name for name in {*names, *dead} if event.replay_for in ("", name)]
    return [_delivery(name, event, dead.get(name), applied) for name in sorted(names)]


def _is_letter_of(letter: DeadLetter, event: Found) -> bool:
    return (letter.topic, letter.partition, letter.offset) == (event.topic, event.partition, event.offset)


def _delivery(name: str, event: Found, letter: DeadLetter | None, applied: dict[tuple[str, str, int], int]) -> Delivery:
    if letter is not None:
        state = f"no lo pudo aplicar ({letter.get_reason_display()}): {letter.get_state_display()}"
        return Delivery(consumer=name, state=state, dead_letter=letter.pk)
    if event.offset is None:
        return Delivery(consumer=name, state="espera en el outbox a que Kafka lo reciba")
    at = applied.get((name, event.topic, event.partition), 0)
    if at > event.offset:
        return Delivery(consumer=name, state="aplicado")
    return Delivery(consumer=name, state="todavía no", ahead=event.offset - at)


def _text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
