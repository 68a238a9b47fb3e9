"""TODO."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection

from kafka_bridge.consuming.record import Record
from kafka_bridge.errors import is_outage, is_transient
from kafka_bridge.events.event import Event
from kafka_bridge.exceptions import KafkaUnavailable, Unavailable


class Watched(list[Event]):
    """Events for a handler, which remember the one that it looked at last: where it fails, that is the first suspect."""

    _at: int | None = None

    def __iter__(self) -> Iterator[Event]:
        for self._at, event in enumerate(super().__iter__()):
            yield event
        self._at = None

    @property
    def suspect(self) -> Event | None:
        """None where the handler has looked at all."""
        return None if self._at is None else self[self._at]


class Failure(NamedTuple):
    """Why an attempt failed, and the event that the handler was at, where it was at one."""

    error: Exception
    suspect: Event | None = None


def may_pass(error: BaseException) -> bool:
    """Whether the batch may pass as it is if it is tried again: an outage, or a transaction that met another."""
    return isinstance(error, Unavailable | KafkaUnavailable) or is_outage(error) or is_transient(error)


def _cut(group: list[Record], good: int, bad: int, suspect: Event | None) -> int:
    """Where to cut group[good:bad] in two: before the suspect, or behind it where it comes first; else in the middle."""
    places = (place for place in range(good, bad) if group[place].event is suspect)
    at = next(places, None) if suspect else None
    return good + max(1, (bad - good) // 2) if at is None else max(at, good + 1)


def _check_deferred_constraints() -> None:
    """Django's foreign keys are checked at COMMIT, where no culprit could be found any more: check them here."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
