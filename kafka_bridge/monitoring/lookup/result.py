"""Following one thing through the house: from the request to the rows and mails, or to where it is stuck.

Each app registers in its `tracers.py` a function that knows what its rows say of an id:

    @tracer
    def seguir(ids: Ids) -> Iterator[Clue | Row | Gap]:
        ...

It is asked again with the ids that came to light, of events, until there are no new ones. Nothing is stored for this: the
rest is found in the outbox, among the dead letters, by the consumers' offsets and with a bounded look into Kafka.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from kafka_bridge.brokers.messages import partition_of
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.events.event import registered as event_types
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from kafka_bridge.monitoring.lookup.kafka import (
    CUT_KAFKA,
    MESSAGES,
    ROUNDS,
    Look,
    _headers_of,
    _in_payload,
    _known_places,
    _look_into_kafka,
    _positions,
)
from kafka_bridge.monitoring.lookup.registry import Clue, Gap, M, Row, tracers
from kafka_bridge.telemetry import traceparent

SHOWN: Final = 50


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


def _of_kafka(look: Look) -> Iterator[Found]:
    for message in look.messages:
        headers = {name: _text(value) for name, value in _headers_of(message).items()}
        topic, partition = partition_of(message)
        stored_at = datetime.fromtimestamp(message.timestamp()[1] / 1_000, UTC)
        yield _found(headers, topic, partition, message.offset(), stored_at, look.uuids[topic])


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
