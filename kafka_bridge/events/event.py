"""Events: typed, frozen, with the version in the type's name.

An app declares its events in `events.py`; declaring a class registers it:

    ORDERS = Topic(name="bookshop.orders", partitions=6)

    class OrderPlaced(Event, frozen=True):
        type: ClassVar[str] = "bookshop.orders.order-placed.v1"
        topic: ClassVar[Topic] = ORDERS
        customer_id: UUID
        ...
        @property
        def key(self) -> str:
            return str(self.customer_id)

On the wire, CloudEvents attributes stand in the headers and JSON in the value. Within a version
only optional fields may be added. An incompatible change needs a new type with the next version.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Self, get_type_hints
from uuid import UUID

import msgspec

from kafka_bridge.events.ids import derived_id
from kafka_bridge.events.topics import Topic

registered: Final[dict[str, "type[Event]"]] = {}  # by type; filled by declaring classes

# An Instant has a UTC offset, because without one the moment is unknown, and a year from 2000 to
# 2199: one event dated in the year 2 could make a handler create 100,000 weekly rows. msgspec has
# no such rule, so `__post_init__` checks it; `formatMinimum` and `formatExclusiveMaximum` (keywords
# of ajv) document it in the JSON Schema.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_YEARS: Final = {"formatMinimum": EARLIEST.isoformat(), "formatExclusiveMaximum": LATEST.isoformat()}
Instant = Annotated[datetime, msgspec.Meta(tz=True, extra_json_schema=_YEARS)]

# A Text holds no NUL, which PostgreSQL cannot store. Each field adds the length of its column.
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that happened.

    `id` is derived from the cause (`derive_id`), so that a retry is the same event. `time` is when
    the event happened or was accepted, UTC. Both stand in the value and, for tools, in the headers.

    `gc=False`: an event never refers to itself, so the garbage collector need not look at it.
    """

    type: ClassVar[str]
    topic: ClassVar[Topic]
    # One sentence for the page of events, in the language of the product.
    summary: ClassVar[str] = ""
    # Values for the example in the documentation. Needed for fields whose constraints refuse the
    # generated ones, useful where those say little.
    example: ClassVar[Mapping[str, Any]] = {}
    id: UUID
    time: Instant

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        other = registered.setdefault(cls.type, cls)
        if other.__qualname__ != cls.__qualname__ or other.__module__ != cls.__module__:
            raise TypeError(f"{cls.type} is already the type of {other.__module__}.{other.__qualname__}")

    def __post_init__(self) -> None:
        """Raise ValueError for an Instant outside of the accepted years.

        While decoding, msgspec turns the ValueError into a ValidationError.
        """
        for name in _instants(type(self)):
            if not EARLIEST <= getattr(self, name) < LATEST:
                raise ValueError(f"Expected `datetime` of {EARLIEST.year} to {LATEST.year - 1} - at `$.{name}`")

    @property
    def key(self) -> str:
        """The id of the thing whose events must stay in order.

        It is never personal data, nor anything derived from personal data except an HMAC.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a key")

    @property
    def cause_key(self) -> str:
        """The key of the event that caused this one, to continue its trace; empty: the same key."""
        return ""

    @property
    def priority(self) -> bool:
        """True for events that go to the priority partition, if their topic has one."""
        return False

    @classmethod
    def derive_id(cls, *cause: object) -> UUID:
        """Return the id that the type and the cause give: the same cause gives the same event.

        Ids of a cause with a UUIDv7 are in the order of its time (ids.py).
        """
        return derived_id(cls.type, *cause)

    @classmethod
    def now(cls, **fields: Any) -> Self:
        """Return the event with `time` set to the present, UTC."""
        return cls(time=datetime.now(UTC), **fields)


@cache
def _instants(event_class: type[Event]) -> tuple[str, ...]:
    return tuple(name for name, kind in get_type_hints(event_class).items() if kind is datetime)
