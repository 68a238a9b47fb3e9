"""Which function handles which event, for which consumer. Each app's `consumers.py` is discovered when Django starts.

    @handles(VentaRegistrada, consumer="contabilidad")
    def registrar_ventas(ventas: list[VentaRegistrada]) -> None:
        services.registrar(ventas)

A handler runs inside the transaction that also moves the partition's offset. It takes a batch's events of its type in the
order of the partition; events of another type, which came before or between, may be handled after them (a void before its
sale), as may what was sent again. It must not commit, and may see an event again after a restore, or where a topic was made
anew: rows are unique by event id.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from kafka_bridge.events.event import Event
from kafka_bridge.events.topics import Topic

E = TypeVar("E", bound=Event)
Handler = Callable[[list[E]], None]


@dataclass
class Consumer:
    """A named consumer: one Kafka group, one `manage.py run_consumer NAME`. `max_batch` bounds messages a transaction."""

    name: str
    max_batch: int
    handlers: dict[type[Event], Handler[Any]] = field(default_factory=dict)

    @property
    def lanes(self) -> list[str]:
        """The priority lanes among its topics, by name; each is run beside the main lane."""
        return sorted({topic.priority_lane for topic in self.topics if topic.priority_lane})

    @property
    def topics(self) -> list[Topic]:
        """What it subscribes to, by name."""
        return sorted({event.topic for event in self.handlers}, key=lambda topic: topic.name)


consumers: Final[dict[str, Consumer]] = {}


def handles(event: type[E], *, consumer: str, max_batch: int = 2_000) -> Callable[[Handler[E]], Handler[E]]:
    """Registers the function below it. Raises ValueError where that consumer has a handler of the event already.

    A consumer's `max_batch` is the smallest that its handlers ask for.
    """

    def register(handler: Handler[E]) -> Handler[E]:
        entry = consumers.setdefault(consumer, Consumer(consumer, max_batch))
        if event in entry.handlers:
            raise ValueError(f"{consumer} handles {event.type} twice")
        entry.handlers[event] = handler
        entry.max_batch = min(entry.max_batch, max_batch)
        return handler

    return register
