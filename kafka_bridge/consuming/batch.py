"""One batch: rows, dead letters and next offsets, written in a single transaction."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import msgspec
from django.db import transaction

from kafka_bridge.consuming.culprits.attempt import Attempt, Failure, accuses_no_message, attempt
from kafka_bridge.consuming.culprits.limits import FailureLimit, GroupSize
from kafka_bridge.consuming.culprits.search import CulpritSearch
from kafka_bridge.consuming.handlers import Consumer
from kafka_bridge.consuming.record import Record, next_offsets, printable
from kafka_bridge.consuming.time_limit import limited_transaction
from kafka_bridge.diagnosis import connection_is_lost, describe
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import Fenced, TooManyDeadLetters
from kafka_bridge.models import DeadLetter

INSERT_BYTES: Final = 1_000_000  # of contents in one INSERT, which takes several times as much memory
TRANSACTION_TIMEOUT_MS: Final = 30_000  # less than max.poll.interval.ms (time_limit.py)

# Locks the rows in the order of topic and partition, so that two members never deadlock. Returns
# the partitions whose row was where this member left it.
_ADVANCE: Final = """
    WITH moved AS (
        SELECT stored.id, move.next_offset
        FROM json_to_recordset(%s::json)
            AS move (topic text, partition int, topic_uuid text, held bigint, next_offset bigint)
        JOIN kafka_bridge_consumeroffset stored USING (topic, partition), {limits} limits
        WHERE stored.consumer = %s AND stored.topic_uuid = move.topic_uuid
            AND stored.next_offset = move.held AND move.held < move.next_offset
        ORDER BY topic, partition FOR UPDATE OF stored
    )
    UPDATE kafka_bridge_consumeroffset stored SET next_offset = moved.next_offset, updated_at = statement_timestamp()
    FROM moved WHERE stored.id = moved.id RETURNING stored.topic, stored.partition"""


class _Move(msgspec.Struct):
    """The move of one partition's offset from `held` to `next_offset`."""

    topic: str
    partition: int
    topic_uuid: str
    held: int
    next_offset: int


@dataclass(kw_only=True)
class Batch:
    """Records of one consumer and the transaction that applies them."""

    consumer: Consumer
    records: list[Record]
    reached: dict[Partition, int] = field(default_factory=dict)  # ends with no message for us before them
    limit: FailureLimit
    group_size: GroupSize
    patient: bool  # raise errors that may pass, instead of taking them for a culprit's
    verdict: Exception | None = None  # set: the records become dead letters with this error, untried
    topic_uuids: dict[str, str] = field(init=False, default_factory=dict)  # the broker's id of each topic
    dead: list[DeadLetter] = field(init=False, default_factory=list)
    is_committed: bool = field(init=False, default=False)
    lost_connection: bool = field(init=False, default=False)  # the connection ended during `apply`

    def apply(
        self, held: dict[Partition, int], topic_uuids: dict[str, str], before: Sequence[bool]
    ) -> dict[Partition, int]:
        """Write rows, dead letters and offsets, all or nothing; return the partitions' new offsets.

        `held` has the offset of each partition that the records begin at, `before` the outcomes of
        earlier messages (True for a failure). Raises Fenced, TooManyDeadLetters, any error that
        loses the connection and, if `patient`, errors that may pass.
        """
        self.topic_uuids = topic_uuids
        offsets = self._offsets()
        failure = None
        if self._is_one_group():
            failure = self._apply_whole(held, offsets, before)
            if failure is None:
                return offsets
        with self._transaction(held, offsets):
            self._search(failure)
            self.set_aside(before)
        return offsets

    def _is_one_group(self) -> bool:
        """Return whether all records are tried at once first: not while culprits are near."""
        return self.patient and self.verdict is None and len(self._handled) <= self.group_size.records

    def _apply_whole(
        self, held: dict[Partition, int], offsets: dict[Partition, int], before: Sequence[bool]
    ) -> Failure | None:
        """Try the batch in a transaction without savepoints, which most batches do not need.

        Returns why a handler, or a deferred constraint, failed: then nothing is written.
        """
        records = self._handled
        whole = Attempt(self.consumer, records)
        try:
            with self._transaction(held, offsets):
                whole.run()
                self.set_aside(before)
        except Exception as error:  # whatever a handler raises: the search finds the message to blame
            known = self.is_committed or isinstance(error, Fenced | TooManyDeadLetters)
            if known or accuses_no_message(error, patient=self.patient):
                raise
            return whole.failure(error)
        self.group_size.passed(len(records))
        return None

    @contextmanager
    def _transaction(self, held: dict[Partition, int], offsets: dict[Partition, int]) -> Iterator[None]:
        """Move the offsets and bury the rejected records; commit what the block adds.

        Raises Fenced if another member has moved an offset.
        """
        self.dead.clear()
        with transaction.atomic(durable=True):
            # The first of the callbacks: an error of a later one is no failure of this transaction.
            transaction.on_commit(self._note_commit)
            try:
                with self.advanced(held, offsets):
                    self._bury_rejected()
                    yield
            finally:
                # Inside the transaction: after it, Django may have opened a new connection.
                self.lost_connection = connection_is_lost()

    def _note_commit(self) -> None:
        self.is_committed = True

    @property
    def partitions(self) -> set[Partition]:
        """The partitions whose offsets move."""
        return {record.partition for record in self.records} | self.reached.keys()

    def _offsets(self) -> dict[Partition, int]:
        """Return the new offsets, sorted by topic and partition."""
        after = next_offsets(self.records)
        return {at: max(after.get(at, 0), self.reached.get(at, 0)) for at in sorted(self.partitions)}

    @contextmanager
    def advanced(self, held: dict[Partition, int], offsets: dict[Partition, int]) -> Iterator[None]:
        """Move the offset rows, all in the transaction's first statement.

        Raises Fenced if a row is not at `held` any more, or is of a topic with another id: another
        member has moved it.
        """
        moves = [_Move(*at, self.topic_uuids[at[0]], held[at], offset) for at, offset in offsets.items()]
        parameters = [msgspec.json.encode(moves).decode(), self.consumer.name]
        with limited_transaction(TRANSACTION_TIMEOUT_MS, _ADVANCE, parameters) as moved:
            for topic, partition in offsets.keys() - set(moved):
                raise Fenced(
                    f"{self.consumer.name}: {topic}[{partition}] is no longer at {held[topic, partition]} of that topic"
                )
            yield

    def _bury_rejected(self) -> None:
        for record in self._ours:
            if record.rejected:
                self._bury(record, record.rejected.reason, record.rejected, attempts=1)

    def _search(self, failure: Failure | None) -> None:
        """Run the handlers in savepoints; culprits become dead letters.

        `failure`: why the batch has failed as a whole, if that was tried.
        """
        search = CulpritSearch(self._attempt, group_size=self.group_size, limit=self.limit)
        for culprit in search.apply(self._handled, failure):
            self._bury(culprit.record, DeadLetter.Reason.HANDLER, culprit.error, culprit.attempts)

    @cached_property
    def _ours(self) -> list[Record]:
        """Return the records that are for this consumer: all but those replayed for another."""
        return [record for record in self.records if record.replayed_for in ("", self.consumer.name)]

    @cached_property
    def _handled(self) -> list[Record]:
        return [record for record in self._ours if type(record.event) in self.consumer.handlers]

    def set_aside(self, before: Sequence[bool]) -> None:
        """Store the dead letters.

        Raises TooManyDeadLetters if they exceed the limit.
        """
        if self.dead:
            self.limit.check(before, self.outcomes())
        for letter in self.dead:
            letter.topic_uuid = self.topic_uuids[letter.topic]
        for some in _of_limited_size(self.dead):
            DeadLetter.objects.bulk_create(some, ignore_conflicts=True)

    def outcomes(self) -> list[bool]:
        """Return for each record, in order, whether it became a dead letter."""
        if not self.dead:
            return [False] * len(self.records)
        dead = {(letter.topic, letter.partition, letter.offset) for letter in self.dead}
        return [(*record.partition, record.offset) in dead for record in self.records]

    def _attempt(self, records: list[Record]) -> Failure | None:
        if self.verdict:
            return Failure(self.verdict)
        return attempt(self.consumer, records, patient=self.patient)

    def _bury(self, record: Record, reason: str, error: Exception, attempts: int) -> None:
        topic, partition = record.partition
        self.dead.append(
            DeadLetter(
                consumer=self.consumer.name,
                topic=topic,
                partition=partition,
                offset=record.offset,
                event_type=record.event_type,
                last_offset=None if record.unread_to is None else record.unread_to - 1,
                key=record.key,
                headers=record.kept_headers(),
                value=record.value,
                value_bytes=record.cut_from,
                message_at=record.stored_at,
                reason=reason,
                error=printable(describe(error)),
                traceback=printable("".join(traceback.format_tb(error.__traceback__))),
                attempts=attempts,
            )
        )


def _of_limited_size(letters: list[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Yield the letters in groups of up to INSERT_BYTES of contents; a larger one is alone."""
    group: list[DeadLetter] = []
    size = 0
    for letter in letters:
        own = len(letter.value or b"")
        if group and size + own > INSERT_BYTES:
            yield group
            group, size = [], 0
        group.append(letter)
        size += own
    if group:
        yield group
