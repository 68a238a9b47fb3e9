"""Look an id up: ask the apps, the engine's tables and Kafka, and put the answers together.

Nothing is stored for lookups. The apps report their rows and the events that must exist; the rest
comes from the outbox, the dead letters, the consumers' offsets and a bounded scan of Kafka.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.utils.translation import gettext

from kafka_bridge.brokers.messages import partition_of, stored_at
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.consuming.record import REPLAY_HEADER
from kafka_bridge.events.event import registered as event_types
from kafka_bridge.events.topics import Partition
from kafka_bridge.models import DeadLetter, OutboxMessage
from kafka_bridge.monitoring.lookup import database, kafka
from kafka_bridge.monitoring.lookup.database import SHOWN, Positions
from kafka_bridge.monitoring.lookup.kafka import KafkaScan
from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Limitation, Row, lookups
from kafka_bridge.monitoring.lookup.result import Delivery, FoundEvent, Lookup
from kafka_bridge.telemetry import traceparent

MAX_ROUNDS: Final = 3  # of questions to the apps, each with the ids that the last one brought up
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


def parse(text: str) -> UUID | None:
    """Return the id that a person pasted, None if it is malformed."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def look_up(wanted: UUID) -> Lookup:
    """Return everything about an id. Raises django.db errors.

    The number of queries is bounded, and Kafka is read for at most kafka.SCAN_SECONDS.
    """
    answers = _ask_apps(wanted)
    ids = {wanted, *answers.expected}
    letters = database.dead_letters_about(ids)
    waiting = database.outbox_messages_about(ids)
    limitations = database.limitations()
    positions = database.positions()
    places = [(letter.topic, letter.partition, letter.offset) for letter in letters]
    scan = kafka.scan(ids, answers.expected.values(), places, positions)
    events = [*map(_in_outbox, waiting), *_in_kafka(scan), *_only_dead_letters(letters, scan)]
    applied_at = {row.written_by: row.at for row in answers.rows if row.written_by}
    for event in events:
        event.deliveries = _deliveries(event, letters, positions, applied_at)
    events.sort(key=lambda event: (event.time, event.offset or 0))
    found = {event.id for event in events}
    return Lookup(
        id=wanted,
        events=events[:SHOWN],
        rows=sorted(answers.rows, key=lambda row: row.at or _BEGINNING),
        missing=[event for event in answers.expected.values() if str(event.id) not in found],
        kafka_answers=scan.kafka_answers,
        limitations=[*answers.limitations, *limitations, *scan.limitations()],
    )


@dataclass
class _Answers:
    """What the apps reported, without repetitions."""

    expected: dict[UUID, ExpectedEvent] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    limitations: list[Limitation] = field(default_factory=list)

    def add(self, answer: ExpectedEvent | Row | Limitation) -> None:
        if isinstance(answer, ExpectedEvent):
            self.expected.setdefault(answer.id, answer)
        elif isinstance(answer, Row) and answer not in self.rows:
            self.rows.append(answer)
        elif isinstance(answer, Limitation) and answer not in self.limitations:
            self.limitations.append(answer)


def _ask_apps(wanted: UUID) -> _Answers:
    """Ask about the id, then about the ids of the events that came up, until no new ones do."""
    answers = _Answers()
    asked: set[UUID] = set()
    for _ in range(MAX_ROUNDS):
        ids = frozenset({wanted, *answers.expected} - asked)
        if not ids:
            break
        asked |= ids
        for function in lookups.all():
            for answer in function(ids):
                answers.add(answer)
    return answers


def _in_outbox(row: OutboxMessage) -> FoundEvent:
    found = _found(dict(row.headers), (row.topic, row.partition), None, row.created_at)
    found.refused = row.refused_at is not None
    return found


def _in_kafka(scan: KafkaScan) -> Iterator[FoundEvent]:
    for message in scan.messages:
        headers = {name: _text(value) for name, value in kafka.readable_headers(message).items()}
        at = partition_of(message)
        yield _found(headers, at, message.offset(), stored_at(message), scan.topic_uuids[at[0]])


def _only_dead_letters(letters: list[DeadLetter], scan: KafkaScan) -> Iterator[FoundEvent]:
    """Yield the dead letters whose message was not read from Kafka, one per message."""
    found = {(*partition_of(message), message.offset()) for message in scan.messages}
    for letter in letters:
        place = letter.topic, letter.partition, letter.offset
        recreated = scan.topic_uuids.get(letter.topic, letter.topic_uuid) != letter.topic_uuid
        if place not in found or recreated:
            found.add(place)
            at = letter.topic, letter.partition
            yield _found(dict(letter.headers), at, letter.offset, letter.message_at, letter.topic_uuid)


def _found(
    headers: dict[str, Any], at: Partition, offset: int | None, stored: datetime | None, topic_uuid: str = ""
) -> FoundEvent:
    return FoundEvent(
        id=headers.get("ce_id", ""),
        type=headers.get("ce_type", ""),
        time=headers.get("ce_time", ""),
        trace_id=traceparent.trace_id_of(headers.get(traceparent.HEADER)),
        topic=at[0],
        partition=at[1],
        offset=offset,
        stored_at=stored,
        topic_uuid=topic_uuid,
        replay_for=headers.get(REPLAY_HEADER, ""),
    )


def _text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


AppliedAt = dict[tuple[str, UUID], datetime | None]  # by consumer and event


def _deliveries(
    event: FoundEvent, letters: list[DeadLetter], positions: Positions, applied_at: AppliedAt
) -> list[Delivery]:
    """Return what became of the event at each consumer that handles it or has set it aside."""
    event_type = event_types.get(event.type)
    handling = {name for name, consumer in consumers.items() if event_type in consumer.handlers}
    dead = {letter.consumer: letter for letter in letters if _is_letter_of(letter, event)}
    names = [name for name in sorted(handling | dead.keys()) if event.replay_for in ("", name)]
    return [
        _dead_delivery(dead[name]) if name in dead else _delivery(name, event, positions, applied_at) for name in names
    ]


def _is_letter_of(letter: DeadLetter, event: FoundEvent) -> bool:
    same_place = (letter.topic, letter.partition, letter.offset) == (event.topic, event.partition, event.offset)
    return same_place and event.topic_uuid in ("", letter.topic_uuid)


def _dead_delivery(letter: DeadLetter) -> Delivery:
    state = gettext("could not apply it (%(reason)s): %(state)s") % {
        "reason": letter.get_reason_display(),
        "state": letter.get_state_display(),
    }
    return Delivery(consumer=letter.consumer, state=state, dead_letter=letter.pk, at=letter.created_at)


def _delivery(name: str, event: FoundEvent, positions: Positions, applied_at: AppliedAt) -> Delivery:
    if event.refused:
        return Delivery(consumer=name, state=gettext("refused by Kafka: see “messages to publish”"))
    if event.offset is None:
        return Delivery(consumer=name, state=gettext("waits in the outbox for Kafka"))
    row = positions.get((name, event.topic, event.partition))
    if row is None or event.topic_uuid not in ("", row.topic_uuid):  # never held, or the topic was recreated
        return Delivery(consumer=name, state=gettext("not yet"), ahead=event.offset)
    if row.next_offset <= event.offset:
        return Delivery(consumer=name, state=gettext("not yet"), ahead=event.offset - row.next_offset)
    at = applied_at.get((name, parse(event.id) or UUID(int=0)))
    return Delivery(consumer=name, state=gettext("applied"), at=at, by=None if at else row.updated_at)
