"""What apps contribute to a lookup: their rows, and the events that must exist if the rows do.

Each app registers in its `monitoring.py` a function that gets some ids and reports what it has
about them:

    @lookup
    def orders(ids: Ids) -> Iterator[ExpectedEvent | Row | Limitation]:
        for order in Order.objects.filter(pk__in=ids):
            yield Row(what="Order", state=order.get_state_display(), at=order.placed_at)
            yield ExpectedEvent(id=order.event_id, event=OrderPlaced, key=str(order.pk))

The function is called again with the ids of the expected events, until no new ids come up. It must
use indexed queries only: it is called for ids that may not exist.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from kafka_bridge.events.event import Event
from kafka_bridge.events.topics import Partition
from kafka_bridge.monitoring.registry import Registry

Ids = frozenset[UUID]


@dataclass(frozen=True, kw_only=True)
class ExpectedEvent:
    """An event that must exist if the id does.

    `near`: about when Kafka stored the event, None if unknown.
    """

    id: UUID
    event: type[Event]
    key: str
    priority: bool = False
    near: datetime | None = None

    @property
    def partition(self) -> Partition:
        """Where Kafka stores it."""
        return self.event.topic.name, self.event.topic.partition_for(self.key, priority=self.priority)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of an app's tables that exists because of the id.

    `what` and `state`: in the language of the reader, without personal data.
    `written_by`: the consumer and the event's id, if `at` is the moment of the transaction that
    applied the event.
    """

    what: str
    state: str
    at: datetime | None
    url: str = ""
    is_mail: bool = False
    written_by: tuple[str, UUID] | None = None


@dataclass(frozen=True)
class Limitation:
    """Where the search was cut short, and what to do instead, in the language of the reader.

    With a limitation, "nothing found" does not mean that there is nothing.
    """

    where: str
    advice: str


LookupFunction = Callable[[Ids], Iterable[ExpectedEvent | Row | Limitation]]
lookups: Final[Registry[LookupFunction]] = Registry()
lookup: Final = lookups.register
