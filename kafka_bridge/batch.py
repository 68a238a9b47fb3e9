"""A batch of messages becomes rows: one transaction holds the rows, the dead letters and the partitions' next offsets."""

import traceback
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from operator import methodcaller
from typing import Final, NamedTuple, cast

from confluent_kafka import Message as KafkaMessage
from django.db import connection, transaction
from django.db.models.functions import Now

from kafka_bridge import traceparent
from kafka_bridge.errors import connection_is_lost, describe, is_outage, is_transient
from kafka_bridge.events import Event, Headers, Undecodable, decode, registered
from kafka_bridge.handlers import Consumer, consumers
from kafka_bridge.models import ConsumerOffset, DeadLetter
from kafka_bridge.producer import Unavailable
from kafka_bridge.topics import Partition

TRANSACTION_TIMEOUT_MS: Final = 30_000  # below max.poll.interval.ms: a stuck owner frees its partition
REPLAY_HEADER: Final = "mamochi_replay_for"  # names the one consumer that a replayed dead letter is for
# The client returns a list with a null pointer in it and an error besides. A call that CPython has specialised, as in any
# loop, looks only at the list and crashes; one from C looks at the error.
_ask_for_headers: Final = methodcaller("headers")


class Fenced(Exception):
    """Another member has moved this partition's offset: what we hold is stale. Read it again; no message is to blame."""


class TooManyDeadLetters(Exception):
    """So much fails that the cause is not in the messages. Mend it, then start the consumer again: nothing was skipped."""


class Record(NamedTuple):
    """A message of Kafka's with what it decodes to: an event, or the reason why not. `replayed_for`: see REPLAY_HEADER."""

    message: KafkaMessage
    headers: Headers
    partition: Partition
    offset: int
    event: Event | None
    rejected: Undecodable | None
    replayed_for: str
    trace: bytes | str | None  # its header traceparent, as it came


@dataclass(frozen=True)
class FailureLimit:
    """Past either limit a consumer stops rather than dead-letter the topic."""

    in_a_row: int = 100
    share: float = 0.5  # of the last `window` messages
    window: int = 1_000

    def check(self, before: Sequence[bool], new: Sequence[bool]) -> None:
        """Takes the outcomes of messages in their order, True for a failure. Raises TooManyDeadLetters if new ones exceed one."""
        recent = deque(before, maxlen=self.window)
        in_a_row = len(list(takewhile(bool, reversed(before))))
        for failed in new:
            recent.append(failed)
            in_a_row = in_a_row + 1 if failed else 0
            if in_a_row > self.in_a_row:
                raise TooManyDeadLetters(f"more than {self.in_a_row} messages in a row failed")
            if failed and len(recent) == self.window and sum(recent) > self.window * self.share:
                raise TooManyDeadLetters(f"more than {self.share:.0%} of {self.window} messages failed")


@dataclass
class GroupSize:
    """How many records are tried at once: a whole batch while all is well, fewer the closer together the culprits stand.

    Kept from batch to batch, so that steady poison does not cost the work of a whole batch each time.
    """

    most: int
    records: int = field(init=False)

    def __post_init__(self) -> None:
        self.records = self.most

    def passed(self, tried: int) -> None:
        """Grows, unless there were too few to tell."""
        if tried >= self.records:
            self.records = min(self.most, self.records + max(1, self.records // 5))

    def failed(self) -> None:
        """Shrinks more than a success grows it: an attempt that fails is work for nothing."""
        self.records = max(1, self.records // 2)


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


def partition_of(message: KafkaMessage) -> Partition:
    """The topic and partition of a message; the client's types would allow None, which only an unsent one has."""
    return cast(str, message.topic()), cast(int, message.partition())


def headers_of(message: KafkaMessage) -> Headers:
    """The message's headers. Raises Undecodable where the name of one is not UTF-8; asked again, it then has none."""
    try:
        return dict(_ask_for_headers(message) or ())
    except SystemError as error:
        message.set_headers([])  # the client would hand out a null pointer the second time
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, "the name of a header is not UTF-8") from error


def read(message: KafkaMessage) -> Record:
    """Decodes a message; one that cannot be decoded is a record all the same."""
    headers: Headers = {}
    event, rejected, replayed_for = None, None, ""
    try:
        headers = headers_of(message)
        replayed_for = _replayed_for(headers)
        event = decode(headers, message.value())
    except Undecodable as error:
        rejected = error
    trace = headers.get(traceparent.HEADER)
    at = partition_of(message)
    return Record(message, headers, at, cast(int, message.offset()), event, rejected, replayed_for, trace)


def _replayed_for(headers: Headers) -> str:
    """Raises Undecodable where it is for a consumer that nobody knows: each would leave it to the others."""
    name = _text(headers.get(REPLAY_HEADER))
    if name not in consumers and REPLAY_HEADER in headers:
        raise Undecodable(DeadLetter.Reason.UNDECODABLE, f"the header {REPLAY_HEADER} names no consumer")
    return name


def may_pass(error: BaseException) -> bool:
    """Whether the batch may pass as it is if it is tried again: an outage, or a transaction that met another."""
    return isinstance(error, Unavailable) or is_outage(error) or is_transient(error)


def next_offsets(records: Iterable[Record]) -> dict[Partition, int]:
    """The offset after the last record of each partition, in the order (topic, partition)."""
    last: dict[Partition, int] = {}
    for record in records:
        last[record.partition] = record.offset + 1
    return dict(sorted(last.items()))


class Batch:
    """One consumer's records and the transaction that applies them."""

    def __init__(  # noqa: PLR0913 - the records, and what the runner knows of those before
        self,
        consumer: Consumer,
        records: list[Record],
        *,
        limit: FailureLimit,
        group_size: GroupSize,
        patient: bool,
        verdict: Exception | None = None,
    ) -> None:
        self.consumer = consumer
        self.records = records
        self.limit = limit
        self.group_size = group_size
        self.patient = patient  # whether an error that may pass is the caller's to retry
        self.verdict = verdict  # why these records are dead letters without being tried again
        self.lost_connection = False  # whether the database's connection ended during `apply`
        self.dead: list[DeadLetter] = []
        self._failed_in_a_row = 0
        self._handed = Watched()  # to the handler that runs, or ran last

    def outcomes(self) -> list[bool]:
        """Of each message in its order, whether it became a dead letter."""
        dead = {(letter.topic, letter.partition, letter.offset) for letter in self.dead}
        return [(*record.partition, record.offset) in dead for record in self.records]

    def apply(
        self, held: dict[Partition, int], topic_uuids: dict[str, str], history: Sequence[bool]
    ) -> dict[Partition, int]:
        """Rows, dead letters and offsets, all or nothing; returns the new offsets. `history`: outcomes before this batch.

        Raises Fenced, TooManyDeadLetters, what lost the connection and (while `patient`) errors that may pass.
        """
        offsets = next_offsets(self.records)
        with transaction.atomic():
            try:
                self._advance(held, offsets)
                self._handle_ours()
                self._set_aside(topic_uuids, history)
            finally:
                self.lost_connection = connection_is_lost()  # asked before Django opens another
        return offsets

    def _handle_ours(self) -> None:
        ours = [record for record in self.records if record.replayed_for in ("", self.consumer.name)]
        self._reject(ours)
        self._handle([record for record in ours if type(record.event) in self.consumer.handlers])

    def _set_aside(self, topic_uuids: dict[str, str], history: Sequence[bool]) -> None:
        if self.dead:
            self.limit.check(history, self.outcomes())
        for letter in self.dead:
            letter.topic_uuid = topic_uuids[letter.topic]
        DeadLetter.objects.bulk_create(self.dead, ignore_conflicts=True)

    def _advance(self, held: dict[Partition, int], offsets: dict[Partition, int]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL transaction_timeout = {TRANSACTION_TIMEOUT_MS}")
        for (topic, partition), offset in offsets.items():
            row = ConsumerOffset.objects.filter(
                consumer=self.consumer.name, topic=topic, partition=partition, next_offset=held[topic, partition]
            )
            if not row.filter(next_offset__lt=offset).update(next_offset=offset, updated_at=Now()):
                raise Fenced(f"{self.consumer.name}: {topic}[{partition}] is no longer at {held[topic, partition]}")

    def _reject(self, records: list[Record]) -> None:
        for record in records:
            if record.rejected:
                self._bury(record, record.rejected.reason, record.rejected, attempts=1)

    def _handle(self, records: list[Record]) -> None:
        """Applies the records in their order, a group at a time; of one that fails, what stands before its culprit."""
        done = 0
        while done < len(records):
            group = records[done : done + self.group_size.records]
            failure = self._attempt(group)
            if failure:
                self.group_size.failed()
                done += self._isolate(group, failure.suspect)
            else:
                self.group_size.passed(len(group))
                done += len(group)

    def _isolate(self, group: list[Record], suspect: Event | None) -> int:
        """Finds the first culprit of a group that failed, in O(log n) attempts, and buries it. Returns how many are done."""
        good, bad, failures = 0, len(group), 1  # it is in group[good:bad]; what stands before is applied
        while good < bad:
            middle = _cut(group, good, bad, suspect)
            again = self._attempt(group[good:middle])
            failures += again is not None
            if again is None:
                good = middle
            elif middle - good == 1:
                self._bury(group[good], DeadLetter.Reason.HANDLER, again.error, attempts=failures)
                self._give_up_early()
                return middle
            else:
                bad, suspect = middle, None  # a wrong one: from here on by halves
        return bad

    def _give_up_early(self) -> None:
        """When everything fails, looking for each culprit of 2,000 messages would only take long."""
        self._failed_in_a_row += 1
        if self._failed_in_a_row > self.limit.in_a_row:
            raise TooManyDeadLetters(f"more than {self.limit.in_a_row} messages in a row failed")

    def _attempt(self, records: list[Record]) -> Failure | None:
        """Runs the handlers in a savepoint; returns what a handler raised. What may be no handler's failure goes on up."""
        if self.verdict:
            return Failure(self.verdict)
        try:
            with transaction.atomic():
                self._dispatch(records)
                _check_deferred_constraints()
        except Exception as error:
            if connection_is_lost() or (self.patient and may_pass(error)):
                raise
            return Failure(error, self._handed.suspect)
        self._failed_in_a_row = 0
        return None

    def _dispatch(self, records: list[Record]) -> None:
        by_type: dict[type[Event], Watched] = defaultdict(Watched)
        for record in records:
            if record.event is not None:
                by_type[type(record.event)].append(record.event)
        for event_type, self._handed in by_type.items():
            self.consumer.handlers[event_type](self._handed)

    def _bury(self, record: Record, reason: str, error: Exception, attempts: int) -> None:
        self.dead.append(
            DeadLetter(
                consumer=self.consumer.name,
                topic=record.partition[0],
                partition=record.partition[1],
                offset=record.offset,
                event_type=_type_of(record.headers),
                key=record.message.key(),
                headers=[[_printable(name), _text(value)] for name, value in record.headers.items()],
                value=record.message.value(),
                message_at=datetime.fromtimestamp(record.message.timestamp()[1] / 1_000, UTC),
                reason=reason,
                error=_printable(describe(error)),
                traceback=_printable("".join(traceback.format_tb(error.__traceback__))),
                attempts=attempts,
            )
        )


def _cut(group: list[Record], good: int, bad: int, suspect: Event | None) -> int:
    """Where to cut group[good:bad] in two: before the suspect, or behind it where it comes first; else in the middle."""
    places = (place for place in range(good, bad) if group[place].event is suspect)
    at = next(places, None) if suspect else None
    return good + max(1, (bad - good) // 2) if at is None else max(at, good + 1)


def _check_deferred_constraints() -> None:
    """Django's foreign keys are checked at COMMIT, where no culprit could be found any more: check them here."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def _type_of(headers: Headers) -> str:
    name = _text(headers.get("ce_type"))
    return name if name in registered else ""


def _text(value: bytes | str | None) -> str:
    return _printable(value.decode(errors="replace") if isinstance(value, bytes) else value or "")


def _printable(text: str) -> str:
    """PostgreSQL's text takes no NUL."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
