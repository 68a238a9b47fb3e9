"""Events: typed, frozen, versioned in their type; CloudEvents attributes in the headers, JSON in the value.

An app declares its events in `events.py`; declaring one registers it:

    VENTAS = Topic(name="mamochi.ventas", partitions=6)

    class VentaRegistrada(Event, frozen=True):
        type: ClassVar[str] = "mamochi.ventas.venta-registrada.v1"
        topic: ClassVar[Topic] = VENTAS
        maestro_id: UUID
        ...
        @property
        def key(self) -> str:
            return str(self.maestro_id)

Within a version only optional fields are added. An incompatible change is a new type, ending in the next version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Self, get_type_hints
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from kafka_bridge import traceparent
from kafka_bridge.topics import Topic

SOURCE: Final = "mamochi"
NAMESPACE: Final = uuid5(NAMESPACE_URL, "https://mamochi.cl/events")
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # the last: nested deeper than the stack
Headers = Mapping[str, bytes | str | None]
registered: Final[dict[str, "type[Event]"]] = {}

# A time without an offset is refused: nobody can place it. So is one far off: a single sale of the year 2 would open a
# hundred thousand weeks. `__post_init__` holds the years, and the keywords (of ajv's) tell strangers.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_YEARS: Final = {"formatMinimum": EARLIEST.isoformat(), "formatExclusiveMaximum": LATEST.isoformat()}
Instant = Annotated[datetime, msgspec.Meta(tz=True, extra_json_schema=_YEARS)]
# What PostgreSQL cannot store is refused before any handler sees it.
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]  # no NUL; each field adds the length of its column
Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]+$", max_length=30)]  # of a product or an ingredient
Amount = Annotated[int, msgspec.Meta(ge=0, le=10**13)]  # of an ingredient: a million such still add up in a bigint


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `id` is derived from its cause (`derive_id`), so that a retry is the same event.

    `time` is when it happened or was accepted, UTC. Both stand in the value and, for tools, in the headers.
    """

    type: ClassVar[str]
    topic: ClassVar[Topic]
    summary: ClassVar[str] = ""  # one sentence in Spanish, for the page of events
    example: ClassVar[Mapping[str, Any]] = {}  # values for its example, where one made from the type says little
    id: UUID
    time: Instant

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        other = registered.setdefault(cls.type, cls)
        if other.__qualname__ != cls.__qualname__ or other.__module__ != cls.__module__:
            raise TypeError(f"{cls.type} is already the type of {other.__module__}.{other.__qualname__}")

    def __post_init__(self) -> None:
        """Raises ValueError where a moment lies outside of the system's time; a decoder makes it a ValidationError."""
        for name in _instants(type(self)):
            if not EARLIEST <= getattr(self, name) < LATEST:
                raise ValueError(f"Expected `datetime` of {EARLIEST.year} to {LATEST.year - 1} - at `$.{name}`")

    @property
    def key(self) -> str:
        """What orders events of one thing: its id. Never personal data, nor anything derived from it but an HMAC."""
        raise NotImplementedError(f"{type(self).__name__} needs a key")

    @property
    def cause_key(self) -> str:
        """The key of the event that this one follows from, where that is another: whose trace it goes on with."""
        return self.key

    @property
    def priority(self) -> bool:
        """Whether it goes to the priority partition, where its topic has one."""
        return False

    @classmethod
    def derive_id(cls, *cause: object) -> UUID:
        """uuid5 of the type and of what caused the event: the same cause is the same event, whoever repeats it."""
        return uuid5(NAMESPACE, "|".join([cls.type, *map(str, cause)]))

    @classmethod
    def now(cls, **fields: Any) -> Self:
        """The event with `time` set to the present, UTC."""
        return cls(time=datetime.now(UTC), **fields)


@dataclass(frozen=True, slots=True)
class Message:
    """An encoded event, on its way to Kafka."""

    event_id: UUID
    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    priority: bool


class Undecodable(ValueError):
    """A message that is no event of ours. `reason` is one of the DeadLetter reasons; the text never quotes the value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def encode(event: Event) -> Message:
    """The event as a message. Raises TypeError if a field cannot be written as JSON."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(event.id),
        "ce_type": event.type,
        "ce_source": SOURCE,
        "ce_time": event.time.astimezone(UTC).isoformat(),
        "content-type": "application/json",
    }
    if trace := traceparent.current(event.cause_key):
        headers[traceparent.HEADER] = trace
    return Message(
        event_id=event.id,
        topic=event.topic.name,
        partition=event.topic.partition_for(event.key, priority=event.priority),
        key=event.key.encode(),
        value=msgspec.json.encode(event),
        headers=tuple((name, text.encode()) for name, text in headers.items()),
        priority=event.priority,
    )


def decode(headers: Headers, value: bytes | None) -> Event:
    """The event in a message of Kafka's. Raises Undecodable, whose text names a field but quotes no data."""
    event_class = _class_of(headers.get("ce_type"))
    try:
        return _decoder(event_class).decode(value or b"")
    except msgspec.ValidationError as error:
        raise Undecodable("schema", _without_data(str(error))) from None
    except NOT_JSON as error:
        raise Undecodable("undecodable", f"not JSON: {type(error).__name__}") from None


def _without_data(error: str) -> str:
    """msgspec names types and fields, but quotes a value that is none of a Literal's: it could be a RUT."""
    if not error.startswith(("Invalid enum value", "Invalid value")):
        return error
    return f"Invalid enum value - at {error.rpartition(' - at ')[2]}"


def _class_of(raw: bytes | str | None) -> type[Event]:
    if raw is None:
        raise Undecodable("unknown_type", "the header ce_type is missing")
    name = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
    if name not in registered:
        raise Undecodable("unknown_type", f"no event is declared with the type {name[:100]!r}")
    return registered[name]


@cache
def _instants(event_class: type[Event]) -> tuple[str, ...]:
    return tuple(name for name, kind in get_type_hints(event_class).items() if kind is datetime)


@cache
def _decoder(event_class: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(event_class)
