"""One attempt: a consumer's handlers run on some records."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.record import Record
from kafka_bridge.diagnosis import connection_is_lost, is_outage, is_server_trouble, is_transient
from kafka_bridge.events.event import Event
from kafka_bridge.exceptions import KafkaUnavailable, Unavailable


class EventBatch(list[Event]):
    """The list of events that a handler gets. `current` is the event that its loop is at.

    A handler that fails inside its loop usually fails at the guilty event, so the search for the
    culprit tries `current` first. It is None before a loop begins and after it has reached the end.
    """

    current: Event | None = None

    def __iter__(self) -> Iterator[Event]:
        for event in super().__iter__():
            self.current = event
            yield event
        self.current = None


class Failure(NamedTuple):
    """Why an attempt failed. `suspect` is the event that the handler was at, if it was at one."""

    error: Exception
    suspect: Event | None = None


class Attempt:
    """One run of a consumer's handlers on some records."""

    def __init__(self, consumer: Consumer, records: Iterable[Record]) -> None:
        self.consumer = consumer
        self.events: dict[type[Event], EventBatch] = defaultdict(EventBatch)
        for record in records:
            if record.event is not None:
                self.events[type(record.event)].append(record.event)

    def run(self) -> None:
        """Call the handlers, each with the events of its type. Raises what they raise."""
        for event_type, events in self.events.items():
            self.consumer.handlers[event_type](events)

    def failure(self, error: Exception) -> Failure:
        """Return the error of a run as a failure of its records."""
        at_work = [events.current for events in self.events.values() if events.current]
        return Failure(error, at_work[-1] if at_work else None)


def attempt(consumer: Consumer, records: list[Record], *, patient: bool) -> Failure | None:
    """Run the handlers in a savepoint. Return why one failed, or None.

    A failure leaves no rows of this attempt. Raises the errors that accuse no message.
    """
    this = Attempt(consumer, records)
    try:
        with _savepoint():
            this.run()
    except Exception as error:
        if accuses_no_message(error, patient=patient):
            raise
        return this.failure(error)
    return None


def accuses_no_message(error: Exception, *, patient: bool) -> bool:
    """Return whether the error lost the database connection or, if `patient`, may pass.

    A database in trouble accuses none: it may have room for a dead letter where it has none for the
    rows of a good message.
    """
    return connection_is_lost() or is_server_trouble(error) or (patient and may_pass(error))


def may_pass(error: BaseException) -> bool:
    """Return whether another attempt may succeed: after an outage or a transaction conflict."""
    return isinstance(error, Unavailable | KafkaUnavailable) or is_outage(error) or is_transient(error)


@contextmanager
def _savepoint() -> Iterator[None]:
    """Undo only what the block wrote if it fails, and keep the rest of the transaction.

    Raises TransactionManagementError outside of a transaction.
    Deferred constraints (Django's foreign keys) are checked at the end of the block. At COMMIT,
    where PostgreSQL would check them, the culprit could not be found any more.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("handlers run in the transaction of their batch")
    with transaction.atomic():
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
