"""The registry of handlers: which function handles which event, for which consumer.

    @handles(OrderPlaced, consumer="billing")
    def enter_orders(orders: list[OrderPlaced]) -> None:
        ledger.enter(orders)

The `consumers.py` of each app is imported when Django starts. A handler runs inside the transaction
that also moves the partition's offset, so it must not commit.

A handler gets the events of its type of one batch, in the order of the partition. Events of another
type that lie before or between them may be handled later (a cancellation before its order), as may
events that were sent again. A handler may see an event a second time after a restore, or when a
topic is recreated: rows are unique by event id.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, TypeVar

from kafka_bridge.events.event import Event
from kafka_bridge.events.topics import Topic

E = TypeVar("E", bound=Event)
Handler = Callable[[list[E]], None]


class Gathers(IntEnum):
    """When a consumer waits a moment for more messages of its main lane (ADR 32, ADR 55).

    A batch costs about the same with one message or with ten.
    """

    NEVER = 0
    WHEN_BUSY = 1  # shortly after another batch; a message that comes alone is applied at once
    ALWAYS = 2  # the broker waits, also with a message that comes alone


@dataclass
class Consumer:
    """A named consumer, which `manage.py run_consumer NAME` runs.

    Each of its lanes is a Kafka consumer group: the main lane and one per priority lane.
    `max_batch` is the largest number of messages in one transaction.
    """

    name: str
    max_batch: int
    handlers: dict[type[Event], Handler[Any]] = field(default_factory=dict)
    gathers: Gathers = Gathers.NEVER

    @property
    def topics(self) -> list[Topic]:
        """The topics that the consumer reads, by name."""
        return sorted({event.topic for event in self.handlers}, key=lambda topic: topic.name)

    @property
    def lanes(self) -> list[str]:
        """The names of its topics' priority lanes; each runs in a process of its own."""
        return sorted({topic.priority_lane for topic in self.topics if topic.priority_lane})


def group_id(consumer: str, lane: str = "") -> str:
    """Return the Kafka group of a consumer's lane; the main lane's name is empty."""
    return f"{consumer}.{lane}" if lane else consumer


consumers: Final[dict[str, Consumer]] = {}


def handles(
    event: type[E], *, consumer: str, max_batch: int = 2_000, gathers: Gathers = Gathers.NEVER
) -> Callable[[Handler[E]], Handler[E]]:
    """Register the decorated function as the consumer's handler of the event.

    The consumer's `max_batch` is the smallest one that its handlers ask for, and it `gathers` the
    most that one of them asks for. Raises ValueError if the consumer already has a handler of the
    event.
    """

    def register(handler: Handler[E]) -> Handler[E]:
        entry = consumers.setdefault(consumer, Consumer(consumer, max_batch))
        if event in entry.handlers:
            raise ValueError(f"{consumer} handles {event.type} twice")
        entry.handlers[event] = handler
        entry.max_batch = min(entry.max_batch, max_batch)
        entry.gathers = max(entry.gathers, gathers)
        return handler

    return register
