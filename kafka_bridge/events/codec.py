"""The encoding of events: CloudEvents attributes in Kafka's headers, JSON in the value."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Final
from uuid import UUID

import msgspec

from kafka_bridge import conf
from kafka_bridge.events.event import Event, registered
from kafka_bridge.events.ids import text
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.telemetry import traceparent

# RecursionError: the JSON is nested deeper than Python's stack.
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Headers = Mapping[str, bytes | str | None]
ADDED_BYTES: Final = 10  # two lengths, of five bytes at most


class Message(msgspec.Struct, frozen=True, gc=False):
    """An encoded event, on its way to Kafka."""

    event_id: UUID
    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    priority: bool

    @property
    def destination(self) -> Partition:
        """The topic and partition that the message is sent to."""
        return self.topic, self.partition

    @property
    def size(self) -> int:
        """The bytes of key, value and headers, with what Kafka adds to each of them."""
        headers = sum(len(name) + len(value) + ADDED_BYTES for name, value in self.headers)
        return len(self.key) + len(self.value) + headers + ADDED_BYTES


def encode(event: Event) -> Message:
    """Return the event as a message. Raises TypeError if a field cannot be written as JSON."""
    key = event.key
    trace = traceparent.current(event.cause_key or key)
    return Message(
        event_id=event.id,
        topic=event.topic.name,
        partition=event.topic.partition_for(key, priority=event.priority),
        key=key.encode(),
        value=msgspec.json.encode(event),
        headers=(
            ("ce_specversion", b"1.0"),
            ("ce_id", text(event.id).encode()),
            ("ce_type", event.type.encode()),
            ("ce_source", conf.SOURCE.encode()),
            ("ce_time", _text_of(event.time.astimezone(UTC))),
            ("content-type", b"application/json"),
            *([(traceparent.HEADER, trace.encode())] if trace else []),
        ),
        priority=event.priority,
    )


@lru_cache(maxsize=8)
def _text_of(time: datetime) -> bytes:
    """Return a time in UTC as a header has it: events of one list have the same time."""
    return time.isoformat().encode()


def decode(headers: Headers, value: bytes | None) -> Event:
    """Return the event in a message that Kafka delivered.

    Raises Undecodable, whose text names a field but quotes no data.
    """
    event_class = _class_of(headers.get("ce_type"))
    try:
        return _decoder(event_class).decode(value or b"")
    except msgspec.ValidationError as error:
        raise Undecodable("schema", _without_data(str(error))) from None
    except NOT_JSON as error:
        raise Undecodable("undecodable", f"not JSON: {type(error).__name__}") from None


def _class_of(raw: bytes | str | None) -> type[Event]:
    if raw is None:
        raise Undecodable("unknown_type", "the header ce_type is missing")
    name = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
    if name not in registered:
        raise Undecodable("unknown_type", f"no event is declared with the type {name[:100]!r}")
    return registered[name]


@cache
def _decoder(event_class: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(event_class)


def _without_data(error: str) -> str:
    """Return msgspec's text without a quoted value.

    msgspec names types and fields, but quotes a value that a Literal does not allow, and that value
    could be personal data.
    """
    if not error.startswith(("Invalid enum value", "Invalid value")):
        return error
    return f"Invalid enum value - at {error.rpartition(' - at ')[2]}"
