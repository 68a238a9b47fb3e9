"""TODO."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from django.db.models import Model

from kafka_bridge.events.event import Event
from kafka_bridge.events.topics import Partition

Ids = frozenset[UUID]
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Clue:
    """An event that must exist if the id does: where it would lie in Kafka. `near`: about when, if that is known."""

    id: UUID
    event: type[Event]
    key: str
    priority: bool = False
    near: datetime | None = None

    @property
    def partition(self) -> Partition:
        return self.event.topic.name, self.event.topic.partition_for(self.key, priority=self.priority)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What stands in an app's tables because of it: `what` and `state` in Spanish, without personal data.

    `written_by`: the consumer and the event's id, where `at` is the moment of the transaction that applied it.
    """

    what: str
    state: str
    at: datetime | None
    url: str = ""
    is_mail: bool = False
    written_by: tuple[str, UUID] | None = None


@dataclass(frozen=True)
class Gap:
    """Where the look was cut short, and what to do instead, in Spanish: nothing found does not mean that nothing is there."""

    where: str
    do: str


Tracer = Callable[[Ids], Iterable[Clue | Row | Gap]]
tracers: Final[list[Tracer]] = []


def tracer(function: Tracer) -> Tracer:
    """Registers the function below it. It must use indexes only: it is asked about ids that may not exist."""
    tracers.append(function)
    return function
