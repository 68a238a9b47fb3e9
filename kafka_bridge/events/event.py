"""Events: typed, frozen, versioned in their type; CloudEvents attributes in the headers, JSON in the value.

An app declares its events in `events.py`; declaring one registers it:

    ORDERS = Topic(name="bookshop.orders", partitions=6)

    class OrderPlaced(Event, frozen=True):
        type: ClassVar[str] = "bookshop.orders.order-placed.v1"
        topic: ClassVar[Topic] = ORDERS
        customer_id: UUID
        ...
        @property
        def key(self) -> str:
            return str(self.customer_id)

Within a version only optional fields are added. An incompatible change is a new type, ending in the next version.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Self, get_type_hints
from uuid import UUID, uuid5

import msgspec

from kafka_bridge import conf
from kafka_bridge.events.topics import Topic

registered: Final[dict[str, "type[Event]"]] = {}

# A time without an offset is refused: nobody can place it. So is one far off: a single sale of the year 2 would open a
# hundred thousand weeks. `__post_init__` holds the years, and the keywords (of ajv's) tell strangers.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_YEARS: Final = {"formatMinimum": EARLIEST.isoformat(), "formatExclusiveMaximum": LATEST.isoformat()}
Instant = Annotated[datetime, msgspec.Meta(tz=True, extra_json_schema=_YEARS)]

# What PostgreSQL cannot store is refused before any handler sees it.
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]  # no NUL; each field adds the length of its column


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
        return uuid5(conf.NAMESPACE, "|".join([cls.type, *map(str, cause)]))

    @classmethod
    def now(cls, **fields: Any) -> Self:
        """The event with `time` set to the present, UTC."""
        return cls(time=datetime.now(UTC), **fields)


@cache
def _instants(event_class: type[Event]) -> tuple[str, ...]:
    return tuple(name for name, kind in get_type_hints(event_class).items() if kind is datetime)
