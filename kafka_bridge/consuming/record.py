"""TODO."""

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

REPLAY_HEADER: Final = f"{conf.PREFIX}_replay_for"  # names the one consumer that a replayed dead letter is for


class Record(NamedTuple):
    """A message of Kafka's with what it decodes to: an event, or the reason why not. `replayed_for`: see REPLAY_HEADER."""

    message: KafkaMessage
    headers: Headers
    partition: Partition
    offset: int
    event: Event | None
    rejected: Undecodable | None
    replayed_for: str
    trace: bytes | str | None  # its header traceparent, as it came


def read(message: KafkaMessage) -> Record:
    """Decodes a message; one that cannot be decoded is a record all the same."""
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
    """Raises Undecodable where it is for a consumer that nobody knows: each would leave it to the others."""
    name = _text(headers.get(REPLAY_HEADER))
    if name not in consumers and REPLAY_HEADER in headers:
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, f"the header {REPLAY_HEADER} names no consumer")
    return name


def next_offsets(records: Iterable[Record]) -> dict[Partition, int]:
    """The offset after the last record of each partition, in the order (topic, partition)."""
    last: dict[Partition, int] = {}
    for record in records:
        last[record.partition] = record.offset + 1
    return dict(sorted(last.items()))


def _type_of(headers: Headers) -> str:
    name = _text(headers.get("ce_type"))
    return name if name in registered else ""


def _text(value: bytes | str | None) -> str:
    return _printable(value.decode(errors="replace") if isinstance(value, bytes) else value or "")


def _printable(text: str) -> str:
    """PostgreSQL's text takes no NUL."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
