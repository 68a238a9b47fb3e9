"""Following one thing through the house: from the request to the rows and mails, or to where it is stuck.

Each app registers in its `tracers.py` a function that knows what its rows say of an id:

    @tracer
    def seguir(ids: Ids) -> Iterator[Clue | Row | Gap]:
        ...

It is asked again with the ids that came to light, of events, until there are no new ones. Nothing is stored for this: the
rest is found in the outbox, among the dead letters, by the consumers' offsets and with a bounded look into Kafka.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from confluent_kafka import KafkaException
from confluent_kafka import Message as KafkaMessage
from django.db.models import BooleanField, Model, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from kafka_bridge import broker, reader, traceparent
from kafka_bridge.batch import REPLAY_HEADER, headers_of, partition_of
from kafka_bridge.events import Event, Headers, Undecodable
from kafka_bridge.events import registered as event_types
from kafka_bridge.handlers import consumers
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.topics import Partition

ASK_SECONDS: Final = 0.7  # for each question before the look itself
KAFKA_SECONDS: Final = 1.5
MESSAGES: Final = 20_000  # the most that are looked at for one trace: in Kafka, in the outbox, among the dead letters
AROUND_SECONDS: Final = 30.0  # a row's moment and the broker's may differ by so much
ROUNDS: Final = 3
SHOWN: Final = 50

Ids = frozenset[UUID]
M = TypeVar("M", bound=Model)


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
    """What stands in an app's tables because of it: `what` and `state` in Spanish, without personal data.

    `written_by`: the consumer and the event's id, where `at` is the moment of the transaction that applied it.
    """

    what: str
    state: str
    at: datetime | None
    url: str = ""
    is_mail: bool = False
    written_by: tuple[str, UUID] | None = None


@dataclass(frozen=True)
class Gap:
    """Where the look was cut short, and what to do instead, in Spanish: nothing found does not mean that nothing is there."""

    where: str
    do: str


Tracer = Callable[[Ids], Iterable[Clue | Row | Gap]]
tracers: Final[list[Tracer]] = []


def tracer(function: Tracer) -> Tracer:
    """Registers the function below it. It must use indexes only: it is asked about ids that may not exist."""
    tracers.append(function)
    return function


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How far one consumer is with an event: applied, waiting behind `ahead` messages, or a dead letter.

    `at`: when it was applied or set aside; `by`: when at the latest, where only the offset tells.
    """

    consumer: str
    state: str
    ahead: int = 0
    dead_letter: int | None = None  # its row
    at: datetime | None = None
    by: datetime | None = None


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
    topic_uuid: str = ""  # of the topic that it lay in; empty where nobody said
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
    gaps: list[Gap]

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
    clues, rows, gaps = _ask_apps(wanted)
    ids = {wanted, *clues}
    letters, waiting, cut = _dead_letters(ids), _waiting(ids), _is_cut_short()
    look = _look_into_kafka(ids, list(clues.values()), _known_places(letters))
    events = [*map(_of_outbox, waiting), *_of_kafka(look), *_of_letters(letters, look)]
    applied, written = _positions(), {row.written_by: row.at for row in rows if row.written_by}
    for event in events:
        event.deliveries = _deliveries(event, letters, applied, written)
    seen = {event.id for event in events}
    unfound = [clue for clue in clues.values() if str(clue.id) not in seen]
    events.sort(key=lambda event: (event.time, event.offset or 0))
    gaps += [gap for is_cut, gap in ((cut, CUT_ROWS), (look.unread, CUT_KAFKA)) if is_cut]
    return Trace(id=wanted, events=events[:SHOWN], rows=rows, unfound=unfound, kafka_answers=look.answers, gaps=gaps)


CUT_KAFKA: Final = Gap(
    "en Kafka hay más mensajes por aplicar de los que se alcanzan a mirar",
    "Espera a que los consumidores se pongan al día (mira el panorama) y pregunta de nuevo: lo aplicado se halla por su fila.",
)
CUT_ROWS: Final = Gap(
    f"solo se miró en los {MESSAGES} más nuevos del outbox y de los no procesados",
    "Busca en «mensajes por publicar» y en «mensajes no procesados», o espera a que el outbox se vacíe.",
)


def _ask_apps(wanted: UUID) -> tuple[dict[UUID, Clue], list[Row], list[Gap]]:
    clues: dict[UUID, Clue] = {}
    others: dict[Row | Gap, None] = {}
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
                others[found] = None
    beginning = datetime.min.replace(tzinfo=UTC)
    rows = sorted((one for one in others if isinstance(one, Row)), key=lambda row: row.at or beginning)
    return clues, rows, [one for one in others if isinstance(one, Gap)]


# What the engine stores


def _dead_letters(ids: Iterable[UUID]) -> list[DeadLetter]:
    """By the event's id in the headers, or by an id in the payload."""
    texts = list(map(str, ids))
    named = Q()
    for text in texts:
        named |= Q(headers__contains=[["ce_id", text]])
    return list(_newest(DeadLetter).filter(named | Q(_in_payload(texts))).order_by("pk")[:SHOWN])


def _waiting(ids: Iterable[UUID]) -> list[OutboxMessage]:
    return list(_newest(OutboxMessage).filter(_in_payload(list(map(str, ids)))).order_by("pk")[:SHOWN])


def _newest(model: type[M]) -> "QuerySet[M]":
    """Payloads have no index: no more than MESSAGES of them are looked at."""
    oldest = model._default_manager.order_by("-pk").values("pk")[MESSAGES - 1 : MESSAGES]
    return model._default_manager.filter(pk__gte=Coalesce(Subquery(oldest), 0))


def _is_cut_short() -> bool:
    """Whether there are more than that."""
    return any(model._default_manager.order_by("-pk")[MESSAGES:].exists() for model in (OutboxMessage, DeadLetter))


def _in_payload(texts: list[str]) -> RawSQL:
    sql = "EXISTS (SELECT FROM unnest(%s::text[]) id WHERE position(id::bytea IN value) > 0)"
    return RawSQL(sql, [texts], output_field=BooleanField())  # noqa: S611 - nothing is put into the text  # nosec B611


def _positions() -> dict[tuple[str, str, int], ConsumerOffset]:
    return {(row.consumer, row.topic, row.partition): row for row in ConsumerOffset.objects.all()}


def _known_places(letters: list[DeadLetter]) -> list[reader.Place]:
    return [(letter.topic, letter.partition, letter.offset) for letter in letters]


# What Kafka has


@dataclass(frozen=True)
class Look:
    """The messages that carry one of the ids. `unread`: time or MESSAGES ran out before all that was to be read."""

    messages: list[KafkaMessage]
    uuids: dict[str, str]
    answers: bool = True
    unread: bool = False


def _look_into_kafka(ids: Iterable[UUID], clues: list[Clue], places: list[reader.Place]) -> Look:
    try:
        topics = broker.admin().list_topics(timeout=ASK_SECONDS).topics
        names = {topic.name for topic in broker.declared_topics()} & topics.keys()
        partitions = [(name, number) for name in names for number in topics[name].partitions]
        uuids = broker.topic_uuids(names, ASK_SECONDS)
        messages, unread = _scan(_ranges(partitions, uuids, clues, places), [str(one).encode() for one in ids])
        return Look(messages, uuids, unread=unread)
    except KafkaException:
        return Look([], {}, answers=False)


def _ranges(
    partitions: list[Partition], uuids: dict[str, str], clues: list[Clue], places: list[reader.Place]
) -> dict[Partition, tuple[int, int]]:
    """From where to where each partition is read: around the clues, and what some consumer has not applied yet."""
    ends = broker.end_offsets(partitions, ASK_SECONDS)
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
    return broker.offsets_at(moments, ASK_SECONDS)


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


# Put together


def _of_kafka(look: Look) -> Iterator[Found]:
    for message in look.messages:
        headers = {name: _text(value) for name, value in _headers_of(message).items()}
        topic, partition = partition_of(message)
        stored_at = datetime.fromtimestamp(message.timestamp()[1] / 1_000, UTC)
        yield _found(headers, topic, partition, message.offset(), stored_at, look.uuids[topic])


def _headers_of(message: KafkaMessage) -> Headers:
    """None where they cannot be read: a stranger's message is shown by its place."""
    try:
        return headers_of(message)
    except Undecodable:
        return {}


def _of_outbox(row: OutboxMessage) -> Found:
    return _found(dict(row.headers), row.topic, row.partition, None, row.created_at)


def _of_letters(letters: list[DeadLetter], look: Look) -> Iterator[Found]:
    """Those whose message Kafka was not asked for, or no longer has."""
    met = {(*partition_of(message), message.offset()) for message in look.messages}
    for letter in letters:
        place, uuid = (letter.topic, letter.partition, letter.offset), letter.topic_uuid
        if place not in met or look.uuids.get(letter.topic, uuid) != uuid:
            met.add(place)
            yield _found(dict(letter.headers), *place, letter.message_at, uuid)


def _found(  # noqa: PLR0913, PLR0917 - what a message is made of
    headers: dict[str, Any], topic: str, partition: int, offset: int | None, stored_at: datetime | None, uuid: str = ""
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
        topic_uuid=uuid,
        replay_for=headers.get(REPLAY_HEADER, ""),
    )


Applied = dict[tuple[str, str, int], ConsumerOffset]
Written = dict[tuple[str, UUID], datetime | None]


def _deliveries(event: Found, letters: list[DeadLetter], applied: Applied, written: Written) -> list[Delivery]:
    kind = event_types.get(event.type)
    names = [name for name, consumer in sorted(consumers.items()) if kind in consumer.handlers]
    dead = {letter.consumer: letter for letter in letters if _is_letter_of(letter, event)}
    names = [name for name in {*names, *dead} if event.replay_for in ("", name)]
    return [_delivery(name, event, dead.get(name), applied, written) for name in sorted(names)]


def _is_letter_of(letter: DeadLetter, event: Found) -> bool:
    same = (letter.topic, letter.partition, letter.offset) == (event.topic, event.partition, event.offset)
    return same and event.topic_uuid in ("", letter.topic_uuid)


def _delivery(name: str, event: Found, letter: DeadLetter | None, applied: Applied, written: Written) -> Delivery:
    if letter is not None:
        state = f"no lo pudo aplicar ({letter.get_reason_display()}): {letter.get_state_display()}"
        return Delivery(consumer=name, state=state, dead_letter=letter.pk, at=letter.created_at)
    if event.offset is None:
        return Delivery(consumer=name, state="espera en el outbox a que Kafka lo reciba")
    row = applied.get((name, event.topic, event.partition))
    next_offset = row.next_offset if row and event.topic_uuid in ("", row.topic_uuid) else 0
    if row and next_offset > event.offset:
        at = written.get((name, parse(event.id) or UUID(int=0)))
        return Delivery(consumer=name, state="aplicado", at=at, by=None if at else row.updated_at)
    return Delivery(consumer=name, state="todavía no", ahead=event.offset - next_offset)


def _text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
