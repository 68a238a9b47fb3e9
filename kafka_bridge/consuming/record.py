"""A Kafka message together with its event, or with the reason why it has none."""

from collections.abc import Iterable
from typing import Final, NamedTuple, cast

from confluent_kafka import Message as KafkaMessage

from kafka_bridge import conf
from kafka_bridge.brokers.messages import headers_of, partition_of
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import Headers, decode
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import DeadLetter
from kafka_bridge.telemetry import traceparent

# Names the one consumer that a dead letter is published again for. Other consumers skip it.
REPLAY_HEADER: Final = f"{conf.PREFIX}_replay_for"


class Record(NamedTuple):
    """A message and its event.

    If the message cannot be decoded, `event` is None and `rejected` says why.
    """

    message: KafkaMessage
    headers: Headers
    partition: Partition
    offset: int
    event: Event | None
    rejected: Undecodable | None
    replayed_for: str  # the value of REPLAY_HEADER; empty for a message to all consumers
    trace: bytes | str | None  # the header `traceparent` as received

    @property
    def event_type(self) -> str:
        """The type that the headers name, if it is declared here; else empty."""
        name = text_of(self.headers.get("ce_type"))
        return name if name in registered else ""


def read(message: KafkaMessage) -> Record:
    """Decode a message. A message that cannot be decoded gives a rejected record."""
    headers: Headers = {}
    event, rejected, replayed_for = None, None, ""
    try:
        headers = headers_of(message)
        replayed_for = _replayed_for(headers)
        event = decode(headers, message.value())
    except Undecodable as error:
        rejected = error
    trace = headers.get(traceparent.HEADER)
    at = partition_of(message)
    return Record(message, headers, at, cast(int, message.offset()), event, rejected, replayed_for, trace)


def _replayed_for(headers: Headers) -> str:
    """Return the consumer that the replay header names; empty without that header.

    Raises Undecodable if no consumer has that name: every consumer would leave the message to
    another.
    """
    name = text_of(headers.get(REPLAY_HEADER))
    if name not in consumers and REPLAY_HEADER in headers:
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, f"the header {REPLAY_HEADER} names no consumer")
    return name


def next_offsets(records: Iterable[Record]) -> dict[Partition, int]:
    """Return the offset after the last record of each partition, sorted by topic and partition."""
    last: dict[Partition, int] = {}
    for record in records:
        last[record.partition] = record.offset + 1
    return dict(sorted(last.items()))


def text_of(value: bytes | str | None) -> str:
    """Return a header's value as text that PostgreSQL can store.

    Bytes that are not UTF-8 are replaced.
    """
    return printable(value.decode(errors="replace") if isinstance(value, bytes) else value or "")


def printable(text: str) -> str:
    """Replace NUL characters, which PostgreSQL's text type refuses."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
