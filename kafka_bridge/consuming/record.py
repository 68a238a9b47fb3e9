"""A Kafka message together with its event, or with the reason why it has none."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, cast

import msgspec
from confluent_kafka import Message as KafkaMessage

from kafka_bridge import conf
from kafka_bridge.brokers.messages import check_timestamp, headers_of, partition_of, stored_at
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import Headers, decode
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import DeadLetter
from kafka_bridge.telemetry import traceparent

# Names the one consumer that a dead letter is published again for. Other consumers skip it.
REPLAY_HEADER: Final = f"{conf.PREFIX}_replay_for"

LARGEST_VALUE: Final = 2_000_000  # bytes; Kafka's own limit is about 1 MB, except for compressed messages
KEPT_BYTES: Final = 65_536  # of a value that is larger, of a key, and of all headers together
KEPT_OF_A_HEADER: Final = 4_096  # bytes


class Record(msgspec.Struct, frozen=True, gc=False):
    """A message and its event.

    If the message cannot be decoded, `event` is None and `rejected` says why. If it stands for a
    whole batch that cannot be unpacked (poison.py), `message` is the client's error and `unread_to`
    is the offset behind the batch. The garbage collector need not look at records: what they refer
    to does not refer to them.
    """

    message: KafkaMessage
    headers: Headers
    partition: Partition
    offset: int
    event: Event | None
    rejected: Undecodable | None
    replayed_for: str  # the value of REPLAY_HEADER; empty for a message to all consumers
    trace: bytes | str | None  # the header `traceparent` as received
    unread_to: int | None = None
    cut_from: int | None = None  # the size of a value of which only the beginning is left

    @property
    def next_offset(self) -> int:
        """The offset behind the record."""
        return self.offset + 1 if self.unread_to is None else self.unread_to

    @property
    def stored_at(self) -> datetime | None:
        """When Kafka stored the message; None if that is unknown."""
        return None if self.unread_to is not None else stored_at(self.message)

    @property
    def key(self) -> bytes | None:
        """Return the beginning of the message's key."""
        key = None if self.unread_to is not None else self.message.key()
        return key and key[:KEPT_BYTES]

    @property
    def value(self) -> bytes | None:
        """The message's value, or the beginning of a value that is too large."""
        return None if self.unread_to is not None else self.message.value()

    def kept_headers(self) -> list[list[str]]:
        """Return the headers to store, each cut to KEPT_OF_A_HEADER and all to KEPT_BYTES."""
        kept, left = [], KEPT_BYTES
        for name, value in self.headers.items():
            text = text_of((value or b"")[: min(left, KEPT_OF_A_HEADER)])
            kept.append([printable(name[:KEPT_OF_A_HEADER]), text])
            left -= len(kept[-1][0]) + len(text)
            if left <= 0:
                break
        return kept

    @property
    def event_type(self) -> str:
        """The type that the headers name, if it is declared here; else empty."""
        name = text_of(self.headers.get("ce_type"))
        return name if name in registered else ""


def read(message: KafkaMessage) -> Record:
    """Decode a message. A message that cannot be decoded gives a rejected record.

    A value larger than LARGEST_VALUE is not decoded, and is cut at once to free its memory.
    """
    headers: Headers = {}
    event, rejected, replayed_for = None, None, ""
    cut_from = _cut(message)
    try:
        headers = headers_of(message)
        replayed_for = _replayed_for(headers)
        _check_size(cut_from)
        check_timestamp(message)
        event = decode(headers, message.value())
    except Undecodable as error:
        rejected = _without_frames(error)
    trace = headers.get(traceparent.HEADER)
    at = partition_of(message)
    offset = cast(int, message.offset())
    return Record(message, headers, at, offset, event, rejected, replayed_for, trace, cut_from=cut_from)


def _without_frames(error: Undecodable) -> Undecodable:
    """Return the error without its traceback and causes, which say nothing that its text does not.

    They keep the frames of all callers, whose variables keep the error: such a cycle would hold the
    message, of 90 MB perhaps, until the garbage collector's last generation.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _cut(message: KafkaMessage) -> int | None:
    """Cut a value that is too large, and return its size; None for any other value."""
    size = len(message)
    if size <= LARGEST_VALUE:
        return None
    message.set_value((message.value() or b"")[:KEPT_BYTES])
    return size


def _check_size(cut_from: int | None) -> None:
    """Raise Undecodable for a value that was cut."""
    if cut_from is not None:
        detail = f"the content has {cut_from} bytes, more than {LARGEST_VALUE}; the first {KEPT_BYTES} are kept"
        raise Undecodable(DeadLetter.Reason.TOO_LARGE, detail)


def _replayed_for(headers: Headers) -> str:
    """Return the consumer that the replay header names; empty without that header.

    Raises Undecodable if no consumer has that name: every consumer would leave the message to
    another.
    """
    if REPLAY_HEADER not in headers:
        return ""
    name = text_of(headers[REPLAY_HEADER])
    if name not in consumers:
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, f"the header {REPLAY_HEADER} names no consumer")
    return name


def next_offsets(records: Iterable[Record]) -> dict[Partition, int]:
    """Return the offset after the last record of each partition, sorted by topic and partition."""
    last: dict[Partition, int] = {}
    for record in records:
        last[record.partition] = record.next_offset
    return dict(sorted(last.items()))


def text_of(value: bytes | str | None) -> str:
    """Return a header's value as text that PostgreSQL can store.

    Bytes that are not UTF-8 are replaced.
    """
    return printable(value.decode(errors="replace") if isinstance(value, bytes) else value or "")


def printable(text: str) -> str:
    """Replace NUL characters, which PostgreSQL's text type refuses."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
