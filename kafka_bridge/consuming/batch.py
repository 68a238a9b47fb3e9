"""A batch of messages becomes rows: one transaction holds the rows, the dead letters and the partitions' next offsets."""

import traceback
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from django.db import connection, transaction
from django.db.models.functions import Now

from kafka_bridge.consuming.culprit import Failure, Watched, _check_deferred_constraints, _cut, may_pass
from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.record import Record, _printable, _text, _type_of, next_offsets
from kafka_bridge.errors import connection_is_lost, describe
from kafka_bridge.events.event import Event
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Fenced, TooManyDeadLetters
from kafka_bridge.models import ConsumerOffset, DeadLetter

TRANSACTION_TIMEOUT_MS: Final = 30_000  # below max.poll.interval.ms: a stuck owner frees its partition


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
