"""The result of a lookup: the events about an id, what became of each, and the rows they led to."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Limitation, Row


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What became of an event at one consumer.

    `state`: in the language of the reader.
    `ahead`: how many messages the consumer applies first; None unless the event waits in Kafka.
    `dead_letter`: the key of its row.
    `at`: when the event was applied or set aside. `by`: the latest time at which it was applied, if
    only the consumer's offset shows that it was.
    """

    consumer: str
    state: str
    ahead: int | None = None
    dead_letter: int | None = None
    at: datetime | None = None
    by: datetime | None = None


@dataclass(kw_only=True)
class FoundEvent:
    """An event that was found in Kafka, in the outbox or among the dead letters."""

    id: str
    type: str
    time: str
    trace_id: str
    topic: str
    partition: int
    offset: int | None  # None while the event waits in the outbox
    stored_at: datetime | None  # None if the timestamp in Kafka cannot be true
    topic_uuid: str = ""  # empty if unknown
    replay_for: str = ""
    refused: bool = False  # by Kafka, for good: it stays in the outbox
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Topic, partition and offset; empty while the event waits in the outbox."""
        return f"{self.topic}[{self.partition}] @ {self.offset}" if self.offset is not None else ""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Everything found about an id.

    `missing`: events that must exist, but were not found in the part of Kafka that was read.
    """

    id: UUID
    events: list[FoundEvent]
    rows: list[Row]
    missing: list[ExpectedEvent]
    kafka_answers: bool
    limitations: list[Limitation]

    @property
    def is_empty(self) -> bool:
        return not (self.events or self.rows)
